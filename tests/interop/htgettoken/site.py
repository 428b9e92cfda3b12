"""A site that served its people by HTVault: a broker, OpenBao below it, the development issuer beside it.

- The broker is a real process, with the settings an operator would write.
- What programs print is kept in logs below the site's folder; every process is ended by its own id.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from credbroker.demo.issuer.settings import Person
from credbroker.demo.ports import free_port
from credbroker.domain.names import GrantKey
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.records import read_grant
from tests.interop.htgettoken.issuer import CLIENT_ID, IssuerThread
from tests.interop.site import STEP_SECONDS, bare_environment
from tests.vault_settings import vault_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from credbroker.domain.grants import Grant
    from tests.interop.htgettoken.client import Shell

T = TypeVar("T")

ISSUER = "community"
RIGHTS = ["openid", "offline_access", "storage.read:/", "storage.create:/", "compute.read"]
# A second issuer whose people go on by its device flow, and a second role.
BY_DEVICE, GROUP_ROLE = "bydevice", "production"
_POLL_SECONDS = 0.05


class Site:
    """One broker with its issuer.

    Attributes:
        folder: Everything the site's programs wrote, OpenBao's own files left out.
        ca_file: What clients trust.
        issuer: The issuer, to be asked and disturbed.
        openbao: What keeps the broker's state.
        people: Everybody who moved in.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        openbao: OpenBaoServer,
        *,
        address: str = "127.0.0.1",
        issuer: Mapping[str, object] | None = None,
        **sections: object,
    ) -> None:
        """Live in `folder`, which exists.

        Args:
            folder: Where everything is written.
            authority: Certifies the broker and the issuer.
            openbao: A running server that is set up.
            address: Where the broker listens.
            issuer: More settings of the first issuer.
            sections: More settings, by section.
        """
        self.folder, self.openbao, self.ca_file = folder, openbao, authority.ca_file
        self.people: list[Shell] = []
        self._address = address
        self.port = free_port(SystemEntropy())
        self.issuer = IssuerThread(folder, authority, self.callback(ISSUER))
        self._clock = SystemClock()
        self._admin = openbao.admin_client()
        self._certificate = authority.issue("broker", folder)
        self._of_issuer, self._sections = issuer or {}, sections
        self._broker: subprocess.Popen[bytes] | None = None
        for name in ("audit", "homes", "config.d"):
            (folder / name).mkdir(mode=0o700)

    @property
    def url(self) -> str:
        """Where the broker answers."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"https://{host}:{self.port}"

    @property
    def log(self) -> Path:
        """Where the broker writes."""
        return self.folder / "broker.log"

    def callback(self, issuer: str) -> str:
        """Return where an issuer sends the browser back to."""
        return f"{self.url}/v1/auth/oidc-{issuer}/oidc/callback"

    def start(self) -> None:
        """Start the issuer and the broker; afterwards both answer."""
        self.issuer.start()
        settings = yaml.safe_dump(self._settings())
        (self.folder / "config.d" / "site.yaml").write_text(settings)
        self.start_broker()

    def close(self) -> None:
        """End everything that still runs."""
        if self._broker is not None and self._broker.poll() is None:
            self._broker.kill()
            self._broker.wait()
        self.issuer.stop()

    def start_broker(self) -> None:
        """Start the broker; afterwards it listens."""
        words = ("serve", "--config", str(self.folder / "config.d"), "--replica", "one")
        with self.log.open("ab") as log:
            self._broker = subprocess.Popen(
                [sys.executable, "-m", "credbroker", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=bare_environment(),
                start_new_session=True,
            )
        self.until(self._listens, "the broker did not start")

    def kill_broker(self) -> None:
        """End the broker as a crash would."""
        assert self._broker is not None
        self._broker.send_signal(signal.SIGKILL)
        assert self._broker.wait(STEP_SECONDS) == -signal.SIGKILL

    def admin(self, *words: str) -> None:
        """Do what an operator types after `credbroker admin`; it must succeed."""
        config = ("--config", str(self.folder / "config.d"))
        subprocess.run(
            [sys.executable, "-m", "credbroker", "admin", *words, *config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=bare_environment(),
            timeout=STEP_SECONDS,
            check=True,
        )

    def grant(self, credkey: str, role: str = "default", issuer: str = ISSUER) -> Grant:
        """Return a record as OpenBao has it."""
        segment = GrantKey(issuer, credkey, role).segment()
        answer = self._admin.secrets.kv.v2.read_secret_version(
            f"grants/{segment}", mount_point=self.openbao.mount, raise_on_deleted_version=True
        )
        return read_grant(answer["data"]["data"])

    def subject(self, person: str) -> str:
        """Return who somebody is at the issuer."""
        return Person(person, "").subject

    def now(self) -> float:
        """Return the time as tokens count it (seconds since 1970, UTC)."""
        return self._clock.now().timestamp()

    def ask(self, method: str, path: str, vault_token: str = "", body: object = None) -> int:
        """Ask the broker something, under a vault token if there is one; return the status."""
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        shown = {"X-Vault-Token": vault_token} if vault_token else {}
        content = None if body is None else json.dumps(body).encode()
        asked = Request(self.url + path, content, shown, method=method)
        try:
            with urlopen(asked, timeout=STEP_SECONDS, context=trust) as answer:
                return int(answer.status)
        except HTTPError as refused:
            with refused:
                return refused.code

    def until(self, found: Callable[[], T | None], complaint: str) -> T:
        """Wait until `found` gives something true, and return that."""
        ends = self._clock.elapsed() + STEP_SECONDS
        while self._clock.elapsed() < ends:
            if it := found():
                return it
            self.wait(_POLL_SECONDS)
        raise AssertionError(f"After {STEP_SECONDS:.0f} s {complaint}; see {self.log}")

    def wait(self, seconds: float) -> None:
        """Let real time go by, where programs that are not ours count it."""
        self._clock.block(seconds)

    def _listens(self) -> bool:
        assert self._broker is not None
        assert self._broker.poll() is None, self.log.read_text()
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        with socket.socket(family) as caller:
            return caller.connect_ex((self._address, self.port)) == 0

    def _settings(self) -> dict[str, object]:
        certificate, key = self._certificate
        return {
            "public_url": self.url,
            "listen": {
                "address": self._address,
                "port": self.port,
                "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            },
            "audit": {"folder": str(self.folder / "audit")},
            "vault": vault_settings(self.openbao),
            "issuers": {
                ISSUER: {**self._issuer(), **self._of_issuer},
                BY_DEVICE: {**self._issuer(), "confirm": "device"},
            },
            "ssh": {"registration": True},
            **self._sections,
        }

    def _issuer(self) -> dict[str, object]:
        return {
            "url": self.issuer.url,
            "client_id": CLIENT_ID,
            "client_secret_file": str(self.issuer.client_secret_file),
            "ca_file": str(self.ca_file),
            "credkey_claim": "preferred_username",
            "roles": {"default": {"scopes": RIGHTS}, GROUP_ROLE: {"scopes": RIGHTS}},
        }
