"""Which server a `vault_url` names, and whether a user may send the credmon there.

The address comes from a file that a user had stored, and root will ask it. So it is https, names a
host that the operator trusts (any, if none are named) on port 8200 or the port the operator wrote,
and a path below `/v1/`. Redirects are nobody's business here: the door follows none. The list is
asked at every reading, since it may have become shorter since a file was stored.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from credbroker.client.address import Address, parse_address
from credbroker.domain.errors import Malformed

VAULT_PORT = 8200
_UNSAFE = re.compile(r"[\x00-\x1F\x7F\\]")
# A bare IPv6 address has no port, whatever its last part looks like.
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):([0-9]{1,5})\Z", re.ASCII)
_KINDS = ("creds", "sts")
_KEPT_IN_PATHS = "/%:@!$&'()*+,;=~"
_REMEDY = (
    "Store the credential anew; the operator's TRUSTED_VAULT_HOSTS says which servers are taken."
)


@dataclass(frozen=True, slots=True)
class TrustedHost:
    """One entry of TRUSTED_VAULT_HOSTS; `port` None stands for 8200."""

    host: str
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> TrustedHost:
        """Read `host`, `host:port`, `[address]:port` or a bare IPv6 address."""
        match = _WITH_PORT.match(text)
        return cls(_plain(match[1]), int(match[2])) if match else cls(_plain(text))


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """A server, and the path on it from which the tokens are read."""

    address: Address
    path: str

    @property
    def issuer(self) -> str:
        """What tells its issuer from others behind the same server; see `wire.vault_top`."""
        steps = self.path.split("/")[2:-1]
        known = [at for at, step in enumerate(steps) if step in _KINDS and at + 1 < len(steps)]
        if known:
            return steps[known[0] + 1]
        return next((step for step in reversed(steps) if step not in _KINDS), "")


def read_vault_url(text: str, trusted: Iterable[TrustedHost] | None) -> VaultPlace:
    """Return where a `vault_url` leads; its query is dropped, as HTCondor's own credmon does.

    Args:
        text: What the file says.
        trusted: The hosts that are taken; None for any, on port 8200.

    Raises:
        Malformed: It leads elsewhere than a credmon may be sent.
    """
    try:
        parts = urlsplit(text)
        address = parse_address(f"{parts.scheme}://{parts.netloc}")
    except (Malformed, ValueError):
        raise Malformed("Its vault_url is no address of a server.", _REMEDY) from None
    if _UNSAFE.search(text) or not text.isascii() or parts.fragment:
        raise Malformed("Its vault_url holds what belongs in no address.", _REMEDY)
    if address.scheme != "https":
        raise Malformed("Its vault_url does not begin with https://.", _REMEDY)
    if not _is_trusted(address, trusted):
        raise Malformed(f"Its vault_url leads to {address}, which is not trusted.", _REMEDY)
    return VaultPlace(address, _path(parts.path))


def _is_trusted(address: Address, trusted: Iterable[TrustedHost] | None) -> bool:
    if trusted is None:
        return address.port == VAULT_PORT
    host = _plain(address.host)
    return any(host == one.host and address.port == (one.port or VAULT_PORT) for one in trusted)


def _path(path: str) -> str:
    segments = unquote(path).split("/")
    if segments[:2] != ["", "v1"] or {".", ".."} & set(segments) or not segments[2:]:
        raise Malformed("Its vault_url has no path below /v1/.", _REMEDY)
    return quote(path, safe=_KEPT_IN_PATHS)


@functools.lru_cache(maxsize=256)
def _plain(host: str) -> str:
    """Return a host in the one spelling by which it is compared."""
    bare = host.strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare
