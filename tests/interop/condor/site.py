"""An old HTVault, an access point, and what lies in its files.

- The old HTVault is a real OpenBao with its tokens' policy and a version 1 store at `secret/oauth`.
- What lies in a `.use` file is watched all the time by a reader of its own, as a job would read it.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from credbroker.host.clock import SystemClock
from tests.interop.credmon import PORT
from tests.interop.htgettoken.site import ISSUER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from credbroker.demo.openbao import OpenBaoServer

PEOPLE = [f"user{number:03}" for number in range(200)]
SECRETS = f"/v1/secret/oauth/creds/{ISSUER}"
POLICY = 'path "secret/oauth/*" { capabilities = ["read", "delete"] }'
NO_POLICY = 'path "secret/none" { capabilities = ["read"] }'


class AccessPoint(Protocol):
    """An access point's credmon, recorded or real.

    Attributes:
        folder: The folder of credentials, with one folder for each person.
        port: Where its connections to port 8200 end up.
        complaints: What it wrote into its log, of reads that failed.
    """

    folder: Path
    port: int
    complaints: list[str]

    @property
    def deleted(self) -> Sequence[Path]:
        """Files it deleted so far."""

    def scan(self) -> int:
        """Renew every login, as if all were due, and return how many were renewed."""


class StartCredmon(Protocol):
    """Starts a credmon."""

    def __call__(self, folder: Path, port: int) -> AccessPoint:
        """Return one that watches over `folder` and asks the server at `port`."""


@dataclass(frozen=True)
class OldVault:
    """The HTVault that served the site's people before.

    Attributes:
        server: The running server.
        vault_tokens: Each person's vault token there.
    """

    server: OpenBaoServer
    vault_tokens: dict[str, str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.server.address).port or 0

    def ended_token(self) -> str:
        """Return a vault token that was given out here and revoked."""
        tokens = self.server.admin_client().auth.token
        given = tokens.create(policies=["people"], ttl="28d")["auth"]["client_token"]
        tokens.revoke(given)
        return str(given)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse everybody for a while."""
        policies = self.server.admin_client().sys
        policies.create_or_update_policy("people", NO_POLICY)
        try:
            yield
        finally:
            policies.create_or_update_policy("people", POLICY)


def put_top(folder: Path, person: str, name: str, **content: str) -> None:
    """Put down what HTCondor's storer hands over for somebody."""
    (folder / person).mkdir(mode=0o700, exist_ok=True)
    (folder / person / f"{name}.top").write_text(json.dumps(content))


def url_of(person: str, kind: str = "creds") -> str:
    """Return the address in a `.top` file."""
    return f"https://localhost:{PORT}/v1/secret/oauth/{kind}/{ISSUER}/{person}:default"


def access_token(person: str, ends: float) -> str:
    """Return a token as an old server has it."""
    parts = ({"alg": "none"}, {"sub": person, "exp": int(ends)})
    return ".".join([*(_part(json.dumps(one).encode()) for one in parts), _part(b"signature")])


def claims_of(use: Path) -> dict[str, object]:
    """Return what the token in a `.use` file says."""
    part = use.read_text().split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Read every `.use` file over and over meanwhile; the list names those that were not valid."""
    spoiled: list[str] = []
    over = threading.Event()
    now = SystemClock().now().timestamp()
    files = [top.with_suffix(".use") for top in folder.glob("*/*.top")]

    def look() -> None:
        while not over.wait(0.01):
            spoiled.extend(str(one) for one in files if not _is_valid(one, now))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield spoiled
    finally:
        over.set()
        reader.join()


def _is_valid(use: Path, now: float) -> bool:
    try:
        return int(str(claims_of(use)["exp"])) > now
    except (OSError, ValueError, IndexError):
        return False


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
