"""The key by which a host that joined is known: made here, and never seen anywhere else.

Signing says who this host is and believes nothing; what others have signed is not judged here.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.domain.secret import Secret
from credbroker.ports import Entropy
from credbroker.wire.fields import parse_object, write_object

ASSERTION_SECONDS = 60
"""How long an assertion may be used; the broker takes none that says more."""

Assertion = Callable[[], Secret | None]
"""Makes a fresh assertion of who this host is; None if its certificate shows it."""

_FILE = "host.json"
_JOINING_FILE = "joining.json"
_NAMELESS = "joining"


def public_part(key: jwk.ECKey) -> str:
    """Return the public key as PEM text (RFC 5480)."""
    return key.as_pem(private=False).decode("ascii")


@dataclass(frozen=True)
class JoinedHost:
    """A host's name and its key."""

    host: str
    key: jwk.ECKey

    def assertion(self, broker: str, now: datetime.datetime, entropy: Entropy) -> Secret:
        """Return a JWT that says who this host is, to `broker` alone (RFC 7523 section 3)."""
        issued = int(now.timestamp())
        claims = {
            "iss": self.host,
            "sub": self.host,
            "aud": broker,
            "iat": issued,
            "exp": issued + ASSERTION_SECONDS,
            "jti": entropy.token(16),
        }
        return Secret("host assertion", jwt.encode({"alg": "ES256"}, claims, self.key))


def key_to_join_with(folder: Path, entropy: Entropy) -> jwk.ECKey:
    """Return a new key, which is on disk already; the same one again until the host has joined.

    Raises:
        LocalFileUnfit: It cannot be written to `folder`, or what is there is no key.
    """
    path = folder / _JOINING_FILE
    begun = _read(path)
    if begun is None:
        begun = JoinedHost(_NAMELESS, jwk.ECKey.generate_key("P-256"))
        _write(path, begun, entropy)
    return begun.key


def keep(folder: Path, joined: JoinedHost, entropy: Entropy) -> None:
    """Write name and key to a 0600 file in `folder`, as a whole. Raises `LocalFileUnfit`."""
    _write(folder / _FILE, joined, entropy)
    whole_file.remove(folder / _JOINING_FILE)


def kept(folder: Path) -> JoinedHost:
    """Return what `keep` wrote.

    Raises:
        LocalFileUnfit: This host has not joined, or the file is not what was written.
    """
    joined = _read(folder / _FILE)
    if joined is None:
        raise LocalFileUnfit(
            f"This host has not joined: there is no {folder / _FILE}.",
            "Have the broker's operator make a join token, and use it with:"
            " credbroker agent --sessions --join FILE; or name a host certificate in the settings.",
        )
    return joined


def _write(path: Path, joined: JoinedHost, entropy: Entropy) -> None:
    content = {"host": joined.host, "key": joined.key.as_pem(private=True).decode("ascii")}
    whole_file.replace(path, write_object(content) + b"\n", entropy)


def _read(path: Path) -> JoinedHost | None:
    content = whole_file.read(path, private=True)
    if content is None:
        return None
    try:
        fields = parse_object(content, "The file")
        return JoinedHost(fields.text("host"), jwk.ECKey.import_key(fields.text("key")))
    except (Malformed, JoseError, ValueError):
        raise LocalFileUnfit(
            f"{path} does not hold this host's name and key.", "Remove it and join anew."
        ) from None
