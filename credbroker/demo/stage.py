"""Everything the demo needs on this machine: OpenBao, an issuer, a broker, and a person's home.

All of it is on loopback and below one folder; every process is ended by its own pid. The words that
each is started with are kept for the search for refresh tokens.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from credbroker.demo.certificates import make_authority
from credbroker.demo.issuer import (
    Client,
    DevIssuer,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
)
from credbroker.demo.openbao import OpenBaoServer
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.telemetry.canaries import Canaries

ALICE = Person("alice", "wonderland", groups=("/demo",))
RENEW_AFTER = 1 / 3
ROLE_SCOPES = ["openid", "offline_access", "storage.read:/", "storage.create:/"]
_START_SECONDS = 20.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the demo goes, in seconds: how long an access token lives, how long the issuer is away.

    A token is renewed after `RENEW_AFTER` of its life, so an outage that starts then and is shorter
    than the rest of it is one that a job need not notice.
    """

    access_seconds: int = 30
    outage_seconds: float = 15.0


USUAL_PACE = Pace()


class StageError(Exception):
    """Something on the stage did not start; the sentence names its log."""


class Stage:
    """The machine's side of the demo."""

    def __init__(
        self, folder: Path, clock: SystemClock, entropy: SystemEntropy, pace: Pace = USUAL_PACE
    ) -> None:
        """Prepare to play below `folder`, which exists and is private."""
        self.folder = folder
        self.pace = pace
        self.clock = clock
        self.entropy = entropy
        self.logs = folder / "logs"
        self.home = folder / "alice"
        self.sandbox = folder / "sandbox"
        for made in (self.logs, self.home, self.sandbox, folder / "audit"):
            made.mkdir(mode=0o700)
        self.authority = make_authority(folder, clock)
        self.openbao = OpenBaoServer(folder / "openbao", self.authority, clock, entropy)
        self.issuer = self._issuer()
        self.canaries = Canaries()
        self.port = 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._broker: subprocess.Popen[bytes] | None = None

    @property
    def broker_url(self) -> str:
        """Where the broker answers."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        running = [child.pid for child in self._children if child.poll() is None]
        return [*running, self.openbao.pid]

    async def open(self) -> None:
        """Start OpenBao and the issuer, and write the broker's settings."""
        await asyncio.to_thread(self.openbao.start)
        await self.issuer.start()
        self.port = free_port(self.entropy)
        self._write_settings()

    async def start_broker(self) -> None:
        """Start `credbroker serve` and wait until it answers."""
        self._broker = self.start(
            "broker", "serve", "--config", str(self.folder / "config.d"), "--replica", "demo"
        )
        await self._until_listening(self._broker)

    def kill_broker(self) -> None:
        """End the broker as a crash would."""
        assert self._broker is not None
        self._broker.send_signal(signal.SIGKILL)
        self._broker.wait()

    def start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a credbroker command in the background; its output goes to `logs/<name>.log`."""
        return self.start_python(name, "credbroker", *words)

    def start_python(self, name: str, module: str, *words: str) -> subprocess.Popen[bytes]:
        """Start `python -m module` in the background; its output goes to `logs/<name>.log`."""
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own program and words
                [sys.executable, "-m", module, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                start_new_session=True,
            )
        self._children.append(child)
        # A short command may end before anybody can look at it in /proc: its words count as well.
        self.canaries.search_text(f"the arguments of {name}", "\0".join(words).encode())
        self.canaries.search_arguments([child.pid], environment=False)
        return child

    def environment(self) -> dict[str, str]:
        """Return what alice's commands find in their environment."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "CREDBROKER_URL": self.broker_url,
            "CREDBROKER_CA_FILE": str(self.authority.ca_file),
            "PYTHONUNBUFFERED": "1",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }

    async def close(self) -> None:
        """End everything that was started, the broker before what it leans on.

        Whatever cannot be ended well, the rest still is.
        """
        async with AsyncExitStack() as ending:
            ending.push_async_callback(asyncio.to_thread, self.openbao.stop)
            ending.push_async_callback(self.issuer.stop)
            for child in self._children:
                ending.push_async_callback(asyncio.to_thread, _reap, child)
            for child in self._children:
                child.terminate()

    def _issuer(self) -> DevIssuer:
        self._client_secret = self.entropy.token(32)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.issue("issuer", self.folder))
        settings = IssuerSettings(
            clients=(Client("credbroker", self._client_secret),),
            people=(ALICE,),
            lifetimes=Lifetimes(access=self.pace.access_seconds),
            # The strictest kind: a refresh token used twice ends the whole login.
            refresh_policy=RefreshPolicy.ROTATE_REVOKE_FAMILY,
            interval=1,
        )
        return DevIssuer(settings, self.clock, self.entropy, ssl_context=context)

    def _write_settings(self) -> None:
        certificate, key = self.authority.issue("broker", self.folder)
        secret_file = self.folder / "client-secret"
        write_private(secret_file, self._client_secret.encode())
        ca_file = str(self.authority.ca_file)
        folder = self.folder / "config.d"
        folder.mkdir(mode=0o700)
        parts = {
            "10-broker.yaml": {
                "public_url": self.broker_url,
                "listen": {
                    "port": self.port,
                    "tls": {"certificate_file": str(certificate), "key_file": str(key)},
                },
                "audit": {"folder": str(self.folder / "audit")},
                "tokens": {"renew_after": RENEW_AFTER},
            },
            "20-vault.yaml": {
                "vault": {
                    "addresses": [self.openbao.address],
                    "ca_file": ca_file,
                    "mount": self.openbao.mount,
                    "approle": {
                        "role_id_file": str(self.openbao.role_id_file),
                        "secret_id_file": str(self.openbao.secret_id_file),
                    },
                },
            },
            "30-issuer.yaml": {
                "issuers": {
                    "demo": {
                        "url": self.issuer.url,
                        "client_id": "credbroker",
                        "client_secret_file": str(secret_file),
                        "ca_file": ca_file,
                        "credkey_claim": "preferred_username",
                        "roles": {"default": {"scopes": ROLE_SCOPES}},
                    }
                }
            },
        }
        for name, part in parts.items():
            (folder / name).write_text(yaml.safe_dump(part, sort_keys=False))

    async def _until_listening(self, broker: subprocess.Popen[bytes]) -> None:
        ends = self.clock.elapsed() + _START_SECONDS
        while self.clock.elapsed() < ends and broker.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await self.clock.sleep(_POLL_SECONDS)
                continue
            writer.close()
            return
        raise StageError(f"The broker did not start; see {self.logs / 'broker.log'}")


def _reap(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
