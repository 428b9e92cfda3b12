"""The tutorial is played as it stands: its demo, then each of its blocks, in one shell.

The test stands for the person: it takes up what the demo says to type, signs in at the issuer's pages, and
presses Ctrl-C at the end.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_docs import blocks

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
STORY_SECONDS = 180
WALK_SECONDS = 180
EXPORTS = re.compile(r"^  \. (\S+/environment)$", re.MULTILINE)
PLACE = re.compile(r"(https://\S+/device)\?user_code=([A-Z0-9]{6})")


@pytest.mark.slow
@pytest.mark.timeout(STORY_SECONDS + WALK_SECONDS + 30)
async def test_the_tutorial_is_true(tmp_path: Path) -> None:
    """What it says of each step is what happens."""
    start, *steps = blocks(PAGE, "sh")
    async with demo(start, tmp_path) as exports:
        told = await walk("\n".join([f". {exports}", *steps]), tmp_path)
        trail = exports.parent / "audit"
        assert trail.is_dir()
    assert not exports.parent.exists()

    assert "Logged in to demo as alice in the role default" in told
    assert "read files that are online" in told
    assert "Ask for --scope storage.create:/home/alice/plot" in told
    assert re.findall(r"exit code (\d+)", told) == ["5", "3", "4", "4"]
    seen = (tmp_path / "seen").read_text().splitlines()
    assert len(seen) == 45
    assert len(set(seen)) >= 3
    assert not any(line.startswith("4294967295 0") for line in seen)  # an empty file
    assert "No such file" not in told
    assert "lease_made" in told
    assert "would be contained" in told
    assert "is contained" in told
    assert told.count(", whole, ends with") == 2  # the broker's trail and the operator's


def around(folder: Path) -> dict[str, str]:
    """Return what the person's terminals have in their environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


@asynccontextmanager
async def demo(command: str, folder: Path) -> AsyncIterator[Path]:
    """Run the first terminal: yield the file it names once it waits, and end it by Ctrl-C."""
    shell = await begin(f"exec {command}", folder)
    try:
        async with asyncio.timeout(STORY_SECONDS):
            said = await told_until(shell, "Press Ctrl-C")
        found = EXPORTS.search(said)
        assert found, said
        yield Path(found[1])
        shell.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(shell.wait(), 30) == 0
    finally:
        end(shell)


async def walk(script: str, folder: Path) -> str:
    """Run the second terminal to its end, and sign in when a code is shown."""
    shell = await begin(script, folder)
    try:
        async with asyncio.timeout(WALK_SECONDS):
            said = await told_until(shell, "Waiting for you")
            place = PLACE.search(said)
            assert place, said
            await asyncio.to_thread(sign_in, place[1], place[2], folder)
            said += await told_until(shell, None)
            assert await shell.wait() == 0, said
    finally:
        end(shell)
    return said


async def begin(script: str, folder: Path) -> Process:
    """Start a terminal; what goes wrong in it ends it."""
    return await asyncio.create_subprocess_exec(
        "/bin/sh", "-eu", "-c", script,
        cwd=folder, env=around(folder), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


async def told_until(shell: Process, words: str | None) -> str:
    """Return what it says up to the line with these words, or to its end."""
    assert shell.stdout is not None
    said = ""
    async for line in shell.stdout:
        said += line.decode()
        if words is not None and words in line.decode():
            return said
    assert words is None, said
    return said


def end(shell: Process) -> None:
    """Leave nothing of a terminal running."""
    if shell.returncode is None:
        os.killpg(shell.pid, signal.SIGKILL)


def sign_in(address: str, code: str, folder: Path) -> None:
    """Go through the issuer's pages as a browser does, and allow all that is asked."""
    (authority,) = folder.glob("credbroker-demo-*/ca.pem")
    browser = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)),
        urllib.request.HTTPCookieProcessor(),
    )

    def fill_in(page: str, path: str, *fields: tuple[str, str]) -> str:
        hidden = re.findall(r'name="csrf" value="([^"]*)"', page)
        form = urllib.parse.urlencode([("csrf", hidden[0]), *fields]).encode()
        with browser.open(urllib.parse.urljoin(address, path), form) as answer:
            return str(answer.read().decode())

    with browser.open(address) as answer:
        page = answer.read().decode()
    page = fill_in(page, "/device", ("user_code", code))
    page = fill_in(page, "/sign-in", ("name", "alice"), ("password", "wonderland"))
    scopes = [("scope", one) for one in re.findall(r'name="scope" value="([^"]*)"', page)]
    fill_in(page, "/consent", *scopes, ("decision", "allow"))
