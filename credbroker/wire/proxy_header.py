"""Reads the header by which a balancer says who calls: the PROXY protocol, versions 1 and 2.

It comes before the first byte of TLS, which the balancer passes on unopened. Each function says how
many bytes it needs next, so that not one byte too many is taken from the connection.
"""

from __future__ import annotations

import ipaddress
from typing import Optional, Tuple

from credbroker.domain.errors import Malformed

FIRST_BYTES = 12
"""So many are read first; no header of either version is shorter."""

MOST_TEXT_BYTES = 107
"""A header of version 1 is no longer, its line end included."""

_BINARY = b"\r\n\r\n\x00\r\nQUIT\n"
_TEXT = b"PROXY "
_LONGEST_REST_BYTES = 2048
_LOCAL, _PROXY = 0x20, 0x21
_FAMILIES = {0x11: (4, ipaddress.IPv4Address), 0x21: (16, ipaddress.IPv6Address)}

Caller = Optional[Tuple[str, int]]
"""Address and port of who calls; None where the balancer speaks for itself, as to see if we live."""


def is_binary(first: bytes) -> bool:
    """True if a header of version 2 begins so, False if one of version 1; raise `Malformed`."""
    if first == _BINARY:
        return True
    if first.startswith(_TEXT):
        return False
    raise _unfit()


def rest_bytes(fixed: bytes) -> int:
    """Return how many bytes follow the 4 after the first ones of a header of version 2."""
    length = int.from_bytes(fixed[2:4], "big")
    if len(fixed) != 4 or length > _LONGEST_REST_BYTES:
        raise _unfit()
    return length


def read_binary(fixed: bytes, rest: bytes) -> Caller:
    """Return who calls by a header of version 2; raise `Malformed`."""
    command, kind = fixed[0], fixed[1]
    if command == _LOCAL or (command == _PROXY and kind not in _FAMILIES):
        return None
    if command != _PROXY:
        raise _unfit()
    size, family = _FAMILIES[kind]
    if len(rest) < 2 * size + 4:
        raise _unfit()
    port = int.from_bytes(rest[2 * size : 2 * size + 2], "big")
    return _plain(family(rest[:size])), port


def read_text(line: bytes) -> Caller:
    """Return who calls by a header of version 1, its line end included; raise `Malformed`."""
    words = line.decode("ascii", "replace").split(" ")
    if not line.endswith(b"\r\n") or len(words) < 2:
        raise _unfit()
    if words[1].rstrip() == "UNKNOWN":
        return None
    try:
        _, kind, source, _, port, _ = words
        address, number = ipaddress.ip_address(source), int(port)
    except ValueError:
        raise _unfit() from None
    is_fit = port.isdigit() and number <= 65535 and "%" not in source
    if kind != f"TCP{address.version}" or not is_fit:
        raise _unfit()
    return _plain(address), number


def _plain(address: object) -> str:
    """Return an address as it is compared; an IPv4 one also where the balancer listens by IPv6."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _unfit() -> Malformed:
    return Malformed("A balancer's connection does not begin with a PROXY protocol header.")
