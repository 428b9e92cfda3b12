"""An access point: HTCondor's folder, its settings, token servers, and real `credbroker credmon`s."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.wire.jwt import read_access_token
from tests.fakes.condor_config import condor_settings
from tests.fakes.credd import Credd, put_config_val
from tests.fakes.token_server import TokenServer

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from credbroker.demo.certificates import Authority
    from credbroker.domain.tokens import AccessToken

CLOCK = SystemClock()
_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.01


class RunningCredmon:
    """One `credbroker credmon` of its own."""

    def __init__(self, environ: dict[str, str], log: Path, *options: str) -> None:
        """Start it as condor_master does: no streams, its own group, a umask of 022."""
        self.log = log
        self._running = subprocess.Popen(
            [sys.executable, "-m", "credbroker", "credmon", *options],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o022,
        )
        self.pid = self._running.pid

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text() if self.log.exists() else ""

    def hang_up(self) -> None:
        """Signal it as the credd does."""
        self._running.send_signal(signal.SIGHUP)

    def cpu_seconds(self) -> float:
        """Return how much work it has done."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def ended(self) -> int:
        """Return its exit code once it has ended by itself."""
        return await asyncio.to_thread(self._running.wait, _PATIENCE_SECONDS)

    async def stop(self) -> float:
        """Tell it to stop; return after how many seconds it did, and kill it if it does not."""
        begun = CLOCK.elapsed()
        if self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
            try:
                await self.ended()
            except subprocess.TimeoutExpired:
                self._running.kill()
                await self.ended()
        return CLOCK.elapsed() - begun


class CondorWorld:
    """One access point in a folder."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Set everything up as the page for access points says."""
        self.folder = folder
        self.authority = authority
        self.certificate = authority.issue("token-server", folder)
        self.credd = Credd(folder / "oauth_credentials")
        self.servers: list[TokenServer] = []
        self.running: list[RunningCredmon] = []
        self.log = folder / "CredMonOAuthLog"
        self.settings = condor_settings(
            SEC_CREDENTIAL_DIRECTORY_OAUTH=str(self.credd.folder),
            CREDMON_OAUTH_LOG=str(self.log),
            AUTH_SSL_CLIENT_CAFILE=str(authority.ca_file),
        )
        self.said = put_config_val(folder / "bin", self.settings)

    def configure(self, **settings: str | None) -> None:
        """Change settings; None unsets one. A running credmon reads them when it is signalled."""
        for name, value in settings.items():
            if value is None:
                self.settings.pop(name, None)
            else:
                self.settings[name] = value
        self.said.write_text(json.dumps(self.settings))

    def trust(self, *more: TokenServer) -> None:
        """Trust the servers that are there, or these alone."""
        hosts = ", ".join(one.authority for one in more or self.servers)
        self.configure(TRUSTED_VAULT_HOSTS=hosts)

    async def server(self, **wanted: Any) -> TokenServer:
        """Start a server that is trusted from now on."""
        one = TokenServer(**wanted)
        await one.start(*self.certificate)
        self.servers.append(one)
        self.trust()
        return one

    async def credmon(
        self, *options: str, log: str | None = None, ready: bool = True
    ) -> RunningCredmon:
        """Start a credmon, and wait until it says that it is ready."""
        environ = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        environ.pop("CONDOR_INHERIT", None)
        path = self.log if log is None else self.folder / log
        more = () if log is None else ("--log-file", str(path))
        one = RunningCredmon(environ, path, *options, *more)
        self.running.append(one)
        if ready:
            await self.until(lambda: " ready" in one.said())
        return one

    def listed(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `credbroker credmon --list`."""
        environ = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(
            [sys.executable, "-m", "credbroker", "credmon", "--list", *options],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def said_of(self, credmon: RunningCredmon, user: str, name: str) -> list[str]:
        """Return what the log says went wrong with one credential."""
        mine = f"no new token user={user} name={name} "
        return [line for line in credmon.said().splitlines() if mine in line]

    def use(self, user: str, name: str) -> Path:
        """Return where a `.use` belongs."""
        return self.credd.folder / user / f"{name}.use"

    def token(self, user: str, name: str, now: datetime.datetime) -> AccessToken:
        """Return the token in a `.use`."""
        text = self.use(user, name).read_text().strip()
        return read_access_token(Secret("access token", text), now)

    def jti(self, user: str, name: str) -> str:
        """Return which token lies in a `.use`; empty if there is none."""
        path = self.use(user, name)
        if not path.exists():
            return ""
        claims = path.read_text().split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["jti"])

    async def until(self, found: Callable[[], object], seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until something is true."""
        end = CLOCK.elapsed() + seconds
        while not found():
            assert CLOCK.elapsed() < end, "\n".join(one.said() for one in self.running)
            await CLOCK.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Stop everything that was started."""
        for credmon in self.running:
            await credmon.stop()
        for server in self.servers:
            await server.stop()
