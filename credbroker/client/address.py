"""The address of a broker: https with a host, or plain http on this machine only.

Anything that could point elsewhere than it seems (a user name, a path, a query) is refused, so an
address in a lease file means one server and nothing else.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from credbroker.domain.errors import Malformed

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{0,126}}\.?\Z")
_USUAL_PORT = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Address:
    """Where a broker listens; `host` is a name or an IP address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def is_tls(self) -> bool:
        """True if the connection is encrypted."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Return host and port as the Host header wants them (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@functools.lru_cache(maxsize=256)
def parse_address(text: str) -> Address:
    """Read an address such as https://broker.example.org:8200.

    Raises:
        Malformed: It is no such address, or plain http to another machine.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not _is_host(host) or parts.scheme not in _USUAL_PORT or port == 0:
        raise _unfit("That is not a broker's address.")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise _unfit("A broker's address has no user name, path or query.")
    if parts.scheme == "http" and not is_loopback(host):
        raise _unfit("Plain http would show tokens to the network.")
    return Address(parts.scheme, host, port or _USUAL_PORT[parts.scheme])


def is_loopback(host: str) -> bool:
    """True for localhost and for the IP addresses that never leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _NAME.match(host) is not None
    return "%" not in host


def _unfit(sentence: str) -> Malformed:
    return Malformed(sentence, "Give it as in https://broker.example.org:8200.")
