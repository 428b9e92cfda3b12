"""Installs, starts and ends the issuer of `tests/interop/provider`: npm's `oidc-provider`.

- It is installed from the lock file, and again only when the lock file is newer.
- `start` returns when the issuer answers, and leaves nothing running when it fails.
- The issuer gets no environment but its settings; its client secret is in a file (mode 0600).
- It is ended by its own process id, and ends by itself when the program that started it does.
"""

from __future__ import annotations

import select
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from tests.interop.alone import alone_in
from tests.interop.installing import run_installer

if TYPE_CHECKING:
    from credbroker.demo.certificates import Authority
    from credbroker.ports import Entropy

FOLDER = Path(__file__).parent / "provider"
INSTALL_LIMIT_SECONDS = 240
START_LIMIT_SECONDS = 60
STOP_LIMIT_SECONDS = 10


class ProviderError(Exception):
    """The issuer could not be started; the sentence says why."""


class _StandsStillError(ProviderError):
    """It neither answers nor ends."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the issuer grants, and for how long.

    Attributes:
        scopes: What may be asked for beside openid and offline_access.
        audiences: What `resource` may name (RFC 8707); the first serves who names none.
        access_token_seconds: How long an access token is good.
        refresh_token_seconds: How long a refresh token is good, counted anew at each rotation.
        device_code_seconds: How long a person may take to log in.
    """

    scopes: tuple[str, ...] = (
        "storage.read:/",
        "storage.create:/user",
        "storage.modify:/user",
        "compute.read",
        "compute.create",
    )
    audiences: tuple[str, ...] = ("https://wlcg.cern.ch/jwt/v1/any", "https://storage.example")
    access_token_seconds: int = 1200
    refresh_token_seconds: int = 86_400
    device_code_seconds: int = 300


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed; install Node.js (20.20 or later) with npm, then run this again."
    return None


def install() -> None:
    """Install what the lock file names into `provider/node_modules`, unless it is there.

    Raises:
        InstallError: npm failed.
    """
    with alone_in(FOLDER):
        _install()


def _install() -> None:
    lock, done = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    run_installer("npm", "ci", seconds=INSTALL_LIMIT_SECONDS, folder=FOLDER)


@dataclass(frozen=True, slots=True)
class RefreshPost:
    """One refresh that the issuer was asked for: its answer's status, and which token was used.

    The fingerprint is the one that `credbroker.domain.secret.Secret` gives.
    """

    status: int
    fingerprint: str


class ProviderServer:
    """One issuer on 127.0.0.1 with TLS; all it knows is in its memory.

    Attributes:
        url: The issuer, as in "https://127.0.0.1:20123".
        ca_file: The PEM file clients trust.
        client_id: The one client, confidential, which sends its secret by HTTP Basic.
        client_secret_file: That secret (mode 0600).
        log_file: What the issuer says: one line per request.
        settings: What it grants.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        entropy: Entropy,
        settings: ProviderSettings | None = None,
    ) -> None:
        """Write the secret and the certificate into `folder`, which exists; nothing runs yet."""
        self.url = f"https://127.0.0.1:{free_port(entropy)}"
        self.ca_file = authority.ca_file
        self.client_id = "credbroker"
        self.client_secret_file = folder / "client-secret"
        self.log_file = folder / "oidc-provider.log"
        self.settings = settings or ProviderSettings()
        write_private(self.client_secret_file, entropy.token(32).encode())
        self._certificate_file, self._key_file = authority.issue("oidc-provider", folder)
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the issuer; afterwards it answers.

        Raises:
            ProviderError: It ended while starting, or stood still twice.
        """
        try:
            self._start()
        except _StandsStillError:  # node itself was seen to, once in some thousand starts
            self._start()

    def _start(self) -> None:
        node = shutil.which("node")
        assert node is not None
        with self.log_file.open("a") as log:
            self._child = subprocess.Popen(
                [node, "provider.mjs", self.url],
                cwd=FOLDER,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            self._await_ready(self._child)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the issuer; afterwards it has ended, if need be by force, and forgotten all."""
        if self._child is None:
            return
        child, self._child = self._child, None
        with child:
            child.terminate()
            try:
                child.wait(STOP_LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()

    def requests(self) -> list[str]:
        """Return what the issuer was asked so far: method, path, status and more of each."""
        lines = self.log_file.read_text().splitlines()
        return [line for line in lines if line.startswith(("GET /", "POST /"))]

    def refreshes(self) -> list[RefreshPost]:
        """Return every refresh the issuer was asked for so far, in order."""
        asked = (line.split() for line in self.requests())
        return [RefreshPost(int(one[2]), one[4]) for one in asked if one[3:4] == ["refresh_token"]]

    def _await_ready(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], START_LIMIT_SECONDS)[0]:
            raise _StandsStillError(f"oidc-provider stands still:\n{self.log_file.read_text()}")
        if child.stdout.readline() != "ready\n":
            raise ProviderError(f"oidc-provider ended while starting:\n{self.log_file.read_text()}")

    def _environment(self) -> dict[str, str]:
        return {
            "CERTIFICATE_FILE": str(self._certificate_file),
            "KEY_FILE": str(self._key_file),
            "CLIENT_ID": self.client_id,
            "CLIENT_SECRET_FILE": str(self.client_secret_file),
            "SCOPES": " ".join(self.settings.scopes),
            "AUDIENCES": " ".join(self.settings.audiences),
            "ACCESS_TOKEN_SECONDS": str(self.settings.access_token_seconds),
            "REFRESH_TOKEN_SECONDS": str(self.settings.refresh_token_seconds),
            "DEVICE_CODE_SECONDS": str(self.settings.device_code_seconds),
        }
