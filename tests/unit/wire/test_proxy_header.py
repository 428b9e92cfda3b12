"""A balancer's header says who calls, in both versions, or is refused whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.wire.proxy_header import (
    FIRST_BYTES,
    MOST_TEXT_BYTES,
    is_binary,
    read_binary,
    read_text,
    rest_bytes,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + b"\xdb\xa1\x20\x08"
V6 = bytes.fromhex("20010db8" + "0" * 23 + "7") + bytes(16) + b"\xdb\xa1\x20\x08"
MAPPED = bytes.fromhex("0" * 20 + "ffff") + bytes([192, 0, 2, 7]) + bytes(16) + b"\xdb\xa1\x20\x08"


@pytest.mark.parametrize(
    ("line", "caller"),
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56225 8200\r\n", ("192.0.2.7", 56225)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56225 8200\r\n", ("2001:db8::7", 56225)),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 56225 8200\r\n", ("192.0.2.7", 56225)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN 192.0.2.7 192.0.2.1 56225 8200\r\n", None),
    ],
)
def test_a_line_of_text_names_the_caller(line: bytes, caller: tuple[str, int] | None) -> None:
    """Or nobody, where the balancer does not know; an address of IPv4 is one in whatever clothes."""
    assert is_binary(line[:FIRST_BYTES]) is False
    assert len(line) <= MOST_TEXT_BYTES
    assert read_text(line) == caller


@pytest.mark.parametrize(
    ("fixed", "rest", "caller"),
    [
        (b"\x21\x11\x00\x0c", V4, ("192.0.2.7", 56225)),
        (b"\x21\x21\x00\x24", V6, ("2001:db8::7", 56225)),
        (b"\x21\x11\x00\x10", V4 + b"\x04\x00\x01\x00", ("192.0.2.7", 56225)),
        (b"\x21\x21\x00\x24", MAPPED, ("192.0.2.7", 56225)),
        (b"\x20\x00\x00\x00", b"", None),
        (b"\x21\x31\x00\x00", b"", None),
    ],
)
def test_a_binary_header_names_the_caller(
    fixed: bytes, rest: bytes, caller: tuple[str, int] | None
) -> None:
    """Or nobody, where the balancer speaks for itself; what is added behind is passed over."""
    assert is_binary(SIGNATURE) is True
    assert rest_bytes(fixed) == len(rest)
    assert read_binary(fixed, rest) == caller


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 56225 8200\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 56225\r\n",
        b"PROXY TCP6 192.0.2.7 192.0.2.1 56225 8200\r\n",
        b"PROXY TCP4 name.test 192.0.2.1 56225 8200\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 70000 8200\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 5_6 8200\r\n",
        b"PROXY TCP6 fe80::7%<eth0> 2001:db8::1 56225 8200\r\n",
        b"PROXY UDP4 192.0.2.7 192.0.2.1 56225 8200\r\n",
        b"PROXY \xff\r\n",
    ],
)
def test_a_line_that_is_no_header_names_nobody(line: bytes) -> None:
    """A guess at who calls would stand in the audit trail."""
    with pytest.raises(Malformed):
        read_text(line)


@pytest.mark.parametrize(
    ("fixed", "rest"), [(b"\x11\x11\x00\x0c", V4), (b"\x21\x11\x00\x04", V4[:4])]
)
def test_a_binary_header_that_is_none_names_nobody(fixed: bytes, rest: bytes) -> None:
    """Neither another version nor one that is too short."""
    with pytest.raises(Malformed):
        read_binary(fixed, rest)


def test_no_header_makes_the_broker_read_for_long() -> None:
    """Its length is the sender's word."""
    with pytest.raises(Malformed):
        rest_bytes(b"\x21\x11\xff\xff")


@given(st.binary(max_size=80))
def test_whatever_comes_is_refused_or_read(received: bytes) -> None:
    """No other error comes of it."""
    for read in (is_binary, read_text, lambda all_of: read_binary(all_of[:4].ljust(4), all_of[4:])):
        try:
            read(received)
        except Malformed:
            continue
