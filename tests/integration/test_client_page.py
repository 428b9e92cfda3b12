"""What docs/client.md shows is run as it stands, against a real broker and a storage service.

The service stands in for the host on the page: over TLS, it takes tokens for itself alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.broker_world import READ
from tests.integration.storage import Storage, serving_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.broker_world import BrokerWorld, Served

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
CODE = re.compile(r" {4}([A-Z0-9]{6})")
PATIENCE_SECONDS = 40.0


@dataclass
class Place:
    """The machine on which the page is tried out."""

    broker: Served
    storage: Storage
    home: Path

    def here(self, text: str) -> str:
        """Put this machine's addresses and names in the place of those on the page."""
        named = {
            "https://dav.example.org": self.storage.url,
            "storage.read:/store": READ,
            "cms": self.broker.world.issuer_name,
        }
        for written, real in named.items():
            text = text.replace(written, real)
        return text

    async def run(self, *words: str) -> str:
        """Run a program to its end, with the person's yes to each code; return what it said."""
        ca_file = str(self.broker.world.authority.ca_file)
        environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "CREDBROKER_URL": self.broker.url,
            "CREDBROKER_CA_FILE": ca_file,
            "REQUESTS_CA_BUNDLE": ca_file,
            "SSL_CERT_FILE": ca_file,
            "IPYTHONDIR": str(self.home / "ipython"),
        }
        child = await asyncio.create_subprocess_exec(
            *words, cwd=self.home, env=environ, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert child.stdout is not None
        said = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for line in child.stdout:
                    said += line.decode()
                    if shown := CODE.fullmatch(line.decode().rstrip("\n")):
                        self.broker.world.issuer.approve(shown[1], "alice")
                assert await child.wait() == 0, said
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return said

    async def log_in(self) -> None:
        """Log alice in."""
        await self.run("credbroker", "login")

    async def play(self, text: str) -> str:
        """Run the one block of the page that holds `text`; return what it said."""
        ((language, block),) = [one for one in blocks() if text in one[1]]
        if language == "sh":
            return await self.run("/bin/sh", "-eu", "-c", self.here(block))
        script = self.home / ("block.ipy" if "%load_ext" in block else "block.py")
        script.write_text(self.here(block))
        program = ("-m", "IPython", "--colors=NoColor") if script.suffix == ".ipy" else ("-I",)
        return await self.run(sys.executable, *program, str(script))


def blocks() -> list[tuple[str, str]]:
    """Return language and text of every block of the page."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, block) for language, block in found]


@pytest.fixture
async def place(
    broker_world: BrokerWorld, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Place]:
    """A person's machine, a broker in a process of its own, and a storage service."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with serving_storage(*broker_world.authority.issue("dav", tmp_path)) as storage:
        yield Place(await broker_world.serve(port=unused_tcp_port), storage, home)


async def test_each_block_of_the_page_does_what_it_says(place: Place) -> None:
    """In one life of one person; no block is left out."""
    await place.log_in()
    told = {
        "headers =": f"{READ} until 20",
        "fresh_token_async": "1 token\n",
        "requests.Session": "200 you read /store/file\n",
        "httpx.Client": "you read /store/file\n{200}\n",
        "credbroker job new": "run42.json\n",
        "lease_file=": f"('{place.storage.url}',)\n",
        "nowhere": "A person must act. You are not logged in at nowhere."
        " Log in with: credbroker login nowhere\n",
        "%load_ext": "Logged in to",
    }
    for text, wanted in told.items():
        said = await place.play(text)
        assert wanted in said, (text, said)
    assert len(told) == len(blocks())
    assert place.storage.seen
