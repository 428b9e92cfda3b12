"""A broker as an operator runs it: OpenBao below it, an issuer nobody here wrote beside it, people around it.

- The broker is a real process, with the settings an operator would write.
- Everything that programs say is kept: in a log below the site's folder, or in `heard`.
- Every process is ended by its own id, at the latest when the site closes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import yaml

from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.domain.names import GrantKey
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.records import read_grant
from tests.vault_settings import vault_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from credbroker.domain.grants import Grant
    from tests.interop.provider_server import ProviderServer

T = TypeVar("T")

ISSUER, ROLE = "foreign", "physics"
SCOPES = ("openid", "offline_access", "storage.read:/", "compute.read")
STORAGE, COMPUTE = "https://storage.example", "https://compute.example"
# A token is due this long after it was made: a test need not wait for the next one.
DUE_SECONDS = 1.0

# How long anything may take that a test waits for.
STEP_SECONDS = 20.0
_POLL_SECONDS = 0.05


class Site:
    """One broker, its settings and its people.

    Attributes:
        folder: Everything the site's programs wrote, OpenBao's own files left out.
        ca_file: What clients of the broker and of the issuer trust.
        provider: The issuer; its access tokens are short-lived.
        heard: What commands printed, with the name of each, for a search for secrets.
        refresh_tokens: Every value that was seen in OpenBao so far.
    """

    def __init__(
        self, folder: Path, authority: Authority, openbao: OpenBaoServer, provider: ProviderServer
    ) -> None:
        """Write the settings below `folder`, which exists; nothing runs yet."""
        self.folder = folder
        self.provider = provider
        self.heard: list[tuple[str, bytes]] = []
        self.refresh_tokens: set[str] = set()
        self._openbao = openbao
        self._admin = openbao.admin_client()
        self._clock = SystemClock()
        self._port = free_port(SystemEntropy())
        self.ca_file = authority.ca_file
        self._certificate = authority.issue("broker", folder)
        self._children: list[subprocess.Popen[bytes]] = []
        self._broker: subprocess.Popen[bytes] | None = None
        for name in ("logs", "audit", "homes", "config.d"):
            (folder / name).mkdir(mode=0o700)
        self.client_secret_file = folder / "client-secret"
        write_private(self.client_secret_file, provider.client_secret_file.read_bytes())
        (folder / "config.d" / "site.yaml").write_text(yaml.safe_dump(self._settings()))

    @property
    def url(self) -> str:
        """Where the broker answers."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [child.pid for child in self._children if child.poll() is None]

    def start_broker(self) -> None:
        """Start the broker; afterwards it listens."""
        words = ("serve", "--config", str(self.folder / "config.d"), "--replica", "one")
        self._broker = self.start("broker", words, bare_environment())
        self.until(self._listens, "the broker did not start")

    def stop_broker(self) -> None:
        """Have the broker end in good order."""
        assert self._end_broker(signal.SIGTERM) == 0

    def kill_broker(self) -> None:
        """End the broker as a crash would."""
        assert self._end_broker(signal.SIGKILL) == -signal.SIGKILL

    @contextmanager
    def client_secret(self, value: str) -> Iterator[None]:
        """Run the broker with this secret for a while, then with the one it had before."""
        usual = self.client_secret_file.read_bytes()
        self._run_with(value.encode())
        try:
            yield
        finally:
            self._run_with(usual)

    def grant(self, person: str) -> Grant:
        """Return a person's record as OpenBao has it."""
        segment = GrantKey(ISSUER, person, ROLE).segment()
        answer = self._admin.secrets.kv.v2.read_secret_version(
            f"grants/{segment}", mount_point=self._openbao.mount, raise_on_deleted_version=True
        )
        grant = read_grant(answer["data"]["data"])
        if grant.refresh_token is not None:
            self.refresh_tokens.add(grant.refresh_token.reveal())
        return grant

    def start(
        self, name: str, words: tuple[str, ...], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a credbroker command in the background; it writes to `log(name)`."""
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "credbroker", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def log(self, name: str) -> Path:
        """Return where the background command of this name writes."""
        return self.folder / "logs" / f"{name}.log"

    def elapsed(self) -> float:
        """Return the seconds that have gone by on a clock that never jumps."""
        return self._clock.elapsed()

    def until(self, found: Callable[[], T | None], complaint: str) -> T:
        """Wait until `found` gives something true, and return that."""
        ends = self._clock.elapsed() + STEP_SECONDS
        while self._clock.elapsed() < ends:
            if it := found():
                return it
            self._clock.block(_POLL_SECONDS)
        raise AssertionError(f"After {STEP_SECONDS:.0f} s {complaint}; see {self.folder}/logs")

    def close(self) -> None:
        """End everything that still runs."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.wait()

    def _run_with(self, client_secret: bytes) -> None:
        write_private(self.client_secret_file, client_secret)
        self.stop_broker()
        self.start_broker()

    def _end_broker(self, by: signal.Signals) -> int:
        assert self._broker is not None
        self._broker.send_signal(by)
        return self._broker.wait(STEP_SECONDS)

    def _listens(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0

    def _settings(self) -> dict[str, object]:
        certificate, key = self._certificate
        lifetime = self.provider.settings.access_token_seconds
        role = {"scopes": [*SCOPES], "audiences": [STORAGE, COMPUTE]}
        return {
            "public_url": self.url,
            "listen": {
                "port": self._port,
                "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            },
            "audit": {"folder": str(self.folder / "audit")},
            "tokens": {"renew_after": DUE_SECONDS / lifetime},
            "vault": vault_settings(self._openbao),
            "issuers": {
                ISSUER: {
                    "url": self.provider.url,
                    "client_id": self.provider.client_id,
                    "client_secret_file": str(self.client_secret_file),
                    "ca_file": str(self.ca_file),
                    "audience_parameter": "resource",
                    "roles": {ROLE: role},
                }
            },
        }


def bare_environment() -> dict[str, str]:
    """Return what every credbroker program finds in its environment here."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}
