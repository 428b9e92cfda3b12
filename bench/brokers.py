"""Whole brokers in processes of their own, and people and callers who ask them over HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.ground import ISSUER
from credbroker.host.clock import SystemClock
from credbroker.wire import native

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bench.ground import Ground

_START_SECONDS = 30.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Broker:
    """A running `credbroker serve`.

    Attributes:
        url: Where it answers.
        pid: Its process.
        log_file: What it says.
    """

    url: str
    child: asyncio.subprocess.Process
    log_file: Path
    http: aiohttp.ClientSession

    @property
    def pid(self) -> int:
        """Its process."""
        return self.child.pid

    async def ask(
        self, path: str, lease: str = "", body: object = None
    ) -> tuple[int, dict[str, Any]]:
        """Post to it; return the status and what came back."""
        headers = {"Authorization": f"Bearer {lease}"} if lease else {}
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def log_in(self, ground: Ground, person: str) -> str:
        """Take somebody through a device login; return the lease token."""
        status, started = await self.ask(native.LOGINS, body={"issuer": ISSUER})
        if status != 201:
            raise RuntimeError(f"No login could be started: {started}")
        await ground.issuer.approve(started["user_code"], person)
        _, state = await self.ask(native.LOGIN_POLL, started["login_token"])
        if not state.get("done"):
            raise RuntimeError(f"The login was not done at once: {state}")
        return str(started["login_token"])

    async def touch(self) -> None:
        """Open a connection to it, which the next request may use."""
        async with self.http.get(f"{self.url}/livez") as answer:
            await answer.read()

    async def until_it_answers(self) -> None:
        """Return once its port is open."""
        clock = SystemClock()
        deadline = clock.elapsed() + _START_SECONDS
        while clock.elapsed() < deadline and self.child.returncode is None:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                await self.touch()
                return
            await clock.sleep(_POLL_SECONDS)
        raise RuntimeError(f"The broker did not start:\n{self.log_file.read_text()}")

    async def kill(self) -> None:
        """End it as a crash would."""
        if self.child.returncode is None:
            self.child.kill()
            await self.child.wait()


@asynccontextmanager
async def callers(ground: Ground) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session that trusts the brokers here and opens as many connections as asked."""
    trust = ssl.create_default_context(cafile=str(ground.authority.ca_file))
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    patience = aiohttp.ClientTimeout(total=60.0)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as http:
        yield http


async def start_broker(folder: Path, name: str, port: int, http: aiohttp.ClientSession) -> Broker:
    """Start a broker on the settings in `folder`; it may not answer yet."""
    log_file = folder.parent / "broker.log"
    with log_file.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", "serve", "--config", str(folder), "--replica", name,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": os.defpath, "HOME": str(folder.parent)},
            start_new_session=True,
        )  # fmt: skip
    return Broker(f"https://127.0.0.1:{port}", child, log_file, http)
