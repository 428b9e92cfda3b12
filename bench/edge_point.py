"""An access point for a measurement: a folder of credentials, a server for them, `credbroker credmon`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from credbroker.demo.certificates import make_authority
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

SERVICE = "wlcg"
CHANCE_BYTES = 16
_PATIENCE_SECONDS = 300.0
_POLL_SECONDS = 0.01
_CONFIG_VAL = "#!/bin/sh\ncat '{settings}'\n"

clock, entropy = SystemClock(), SystemEntropy()


@dataclass(frozen=True)
class Point:
    """One access point, with everything below `folder`."""

    folder: Path
    ca_file: Path
    port: int

    @property
    def credentials(self) -> Path:
        """HTCondor's folder of credentials."""
        return self.folder / "oauth"

    def user(self, number: int) -> Path:
        """Return a user's folder."""
        return self.credentials / f"user{number:05}"

    def fill(self, users: int) -> None:
        """Store a credential for each user, as the credd does."""
        self.credentials.mkdir(mode=0o2770)
        self.credentials.chmod(0o2770)
        for number in range(users):
            self.user(number).mkdir(mode=0o700)
            self.store(self.user(number))

    def store(self, user: Path) -> None:
        """Store one credential, under another name first."""
        secret = Secret("lease", entropy.token(32))
        lease = LeaseToken(entropy.token(CHANCE_BYTES), secret).text().reveal()
        url = f"https://127.0.0.1:{self.port}/v1/secret/oauth/creds/wlcg/{user.name}:default"
        temporary = user / f"{SERVICE}.top.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            json.dump({"vault_token": lease, "vault_url": url}, opened)
        temporary.rename(user / f"{SERVICE}.top")

    def served(self) -> int:
        """Return how many users have their token."""
        return len(list(self.credentials.glob(f"*/{SERVICE}.use")))


@asynccontextmanager
async def opened(folder: Path, users: int, milliseconds: float) -> AsyncIterator[Point]:
    """Make an access point whose server answers after so many milliseconds."""
    await asyncio.to_thread(folder.mkdir)
    authority = make_authority(folder, clock)
    certificate, key = authority.issue("server", folder)
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.edge_server", certificate, key, str(milliseconds),
        stdin=pipe, stdout=pipe,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        port = json.loads(await server.stdout.readline())["port"]
        point = Point(folder, authority.ca_file, port)
        await asyncio.to_thread(point.fill, users)
        yield point
    finally:
        server.terminate()
        await server.wait()


@asynccontextmanager
async def credmon(point: Point) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `credbroker credmon` there."""
    settings, tool = point.folder / "condor.settings", point.folder / "condor_config_val"
    settings.write_text(
        f"SEC_CREDENTIAL_DIRECTORY_OAUTH = {point.credentials}\n"
        f"AUTH_SSL_CLIENT_CAFILE = {point.ca_file}\n"
        f"TRUSTED_VAULT_HOSTS = 127.0.0.1:{point.port}\n"
    )
    tool.write_text(_CONFIG_VAL.format(settings=settings))
    tool.chmod(0o755)
    with (point.folder / "credmon.log").open("ab") as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", "credmon",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": f"{point.folder}:{os.defpath}"},
        )  # fmt: skip
    try:
        yield running
    finally:
        running.terminate()
        await running.wait()


async def until_complete(point: Point, users: int) -> float:
    """Wait until every user has a token; return when that was, by the clock's `elapsed`."""
    end = clock.elapsed() + _PATIENCE_SECONDS
    while not (point.credentials / "CREDMON_COMPLETE").exists():
        if clock.elapsed() > end:
            said = (point.folder / "credmon.log").read_text()
            raise RuntimeError(f"The credmon did not finish:\n{said[-2000:]}")
        await clock.sleep(_POLL_SECONDS)
    while point.served() < users:
        if clock.elapsed() > end:
            raise RuntimeError("The credmon served not everybody.")
        await clock.sleep(_POLL_SECONDS)
    return clock.elapsed()
