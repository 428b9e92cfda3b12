"""The magics in IPython's own shell, against a real broker, OpenBao and issuer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.delivery import lease_file
from tests.integration import notebook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.integration.broker_world import BrokerWorld, Served

pytestmark = pytest.mark.slow

CODE = re.compile(r"<code>([A-Z0-9]{6})</code>")
PATIENCE_SECONDS = 40.0


@dataclass
class Notebook:
    """A notebook of a person's, in a program of its own."""

    broker: Served
    environ: dict[str, str]
    child: asyncio.subprocess.Process
    said: str = ""
    displays: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """What was displayed, each thing with all that it changed to."""

    async def run(self, cell: str, on_code: Callable[[str], object] = lambda _: None) -> str:
        """Run a cell; return how it ended.

        `on_code` is told each code that is displayed, once the line below it is there, too.
        """
        codes: list[str] = []
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{cell}\n".encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.child.stdout.readline()).decode():
                self.said += line
                told: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
                if "ended" in told:
                    return str(told["ended"])
                if "shown" in told:
                    self.displays.setdefault(told["where"], []).append(told["shown"])
                    for code in codes:
                        on_code(code)
                    codes = CODE.findall(told["shown"].get("text/html", ""))
        raise AssertionError(self.said)

    def approve(self, code: str) -> None:
        """Say yes, as alice."""
        self.broker.world.issuer.approve(code, "alice")

    def interrupt(self, _: str) -> None:
        """Press the button that stops a cell."""
        self.child.send_signal(signal.SIGINT)

    def lease_tokens(self) -> list[str]:
        """Return what the person's lease files hold."""
        paths = lease_file.person_paths(self.environ)
        return [lease_file.read(path).lease_token.reveal() for path in paths]

    def last_of(self, number: int) -> str:
        """Return what one thing, counted by when it appeared, shows at last."""
        return list(self.displays.values())[number][-1]["text/plain"]


@pytest.fixture
async def opened(
    broker_world: BrokerWorld, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Notebook]:
    """A notebook into which the magics were loaded; nobody is logged in."""
    broker = await broker_world.serve(port=unused_tcp_port)
    environ = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "CREDBROKER_URL": broker.url,
        "CREDBROKER_CA_FILE": str(broker_world.authority.ca_file),
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(Path(notebook.__file__)), env=environ, limit=1 << 20,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    opened = Notebook(broker, environ, child)
    try:
        assert await opened.run("%load_ext credbroker.client.jupyter") == "well"
        yield opened
    finally:
        child.kill()
        await child.wait()


async def test_a_person_logs_in_and_has_tokens_for_as_long_as_the_notebook_lives(
    opened: Notebook,
) -> None:
    """The QR code is there at once; nothing secret ever is."""
    assert await opened.run("%credbroker_token") == "UsageError"
    assert "Log in with: %credbroker_login" in opened.said
    assert await opened.run("%credbroker_login", opened.approve) == "well", opened.said
    first = next(iter(opened.displays.values()))[0]
    assert "<svg" in first["text/html"]
    assert opened.last_of(0).startswith(
        f"Logged in to {opened.broker.world.issuer_name} as alice in the role default until "
    )
    assert opened.last_of(1) == ""
    assert await opened.run("token = %credbroker_token --scope storage.read:/job") == "well"
    assert await opened.run("token") == "well"
    assert await opened.run("from credbroker.client import fresh_token") == "well"
    same = "assert fresh_token(scopes='storage.read:/job').value == token.value"
    assert await opened.run(same) == "well"
    assert await opened.run("print(token.value.fingerprint(), token.scopes)") == "well"
    assert "storage.read:/job" in opened.said
    (lease_token,) = opened.lease_tokens()
    assert lease_token not in opened.said
    assert "eyJ" not in opened.said


async def test_an_interrupt_leaves_nothing_and_the_notebook_goes_on(opened: Notebook) -> None:
    """No lease, no code on the page; the next login is a new one."""
    assert await opened.run("%credbroker_login", opened.interrupt) == "KeyboardInterrupt"
    assert opened.last_of(0) == "The login was broken off; nothing was kept."
    assert opened.last_of(1) == ""
    assert not opened.lease_tokens()
    assert await opened.run("%credbroker_login", opened.approve) == "well", opened.said
    assert len(opened.lease_tokens()) == 1
