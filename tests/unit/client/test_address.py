"""A broker's address means one server and nothing else."""

from __future__ import annotations

import pytest

from credbroker.client.address import is_loopback, parse_address
from credbroker.domain.errors import Malformed


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("https://b.example.org:8200", "b.example.org", 8200, "https://b.example.org:8200"),
        ("https://B.example.org/", "b.example.org", 443, "https://b.example.org"),
        (" https://192.0.2.1:8200\n", "192.0.2.1", 8200, "https://192.0.2.1:8200"),
        ("https://[2001:db8::1]:8200", "2001:db8::1", 8200, "https://[2001:db8::1]:8200"),
        ("http://127.0.0.1:8200", "127.0.0.1", 8200, "http://127.0.0.1:8200"),
        ("http://[::1]", "::1", 80, "http://[::1]"),
        ("http://localhost:1", "localhost", 1, "http://localhost:1"),
    ],
)
def test_an_address_names_host_and_port(text: str, host: str, port: int, shown: str) -> None:
    """Names and both kinds of IP address work, with the usual port left out."""
    address = parse_address(text)
    assert (address.host, address.port, str(address)) == (host, port, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b.example.org:8200",
        "ftp://b.example.org",
        "file:///etc/passwd",
        "https://",
        "https://b.example.org:99999",
        "https://b.example.org:0",
        "https://b.example.org/v1",
        "https://b.example.org?x=y",
        "https://b.example.org#x",
        "https://b.example.org@evil.example.org",
        "https://user:word@b.example.org",
        "https://b example.org",
        "https://b\\@evil.example.org",
        "https://[fe80::1%25eth0]",
        "https://b.example.org\r\nX: y",
        "http://b.example.org",
        "http://192.0.2.1",
        "http://127.0.0.1.example.org",
        "http://2130706433.example",
        f"https://{'a' * 64}.example.org",
        "https://b..example.org",
    ],
)
def test_an_address_that_seems_one_thing_and_is_another_is_refused(text: str) -> None:
    """User names, paths, other schemes, and http to another machine are refused with a remedy."""
    with pytest.raises(Malformed) as refused:
        parse_address(text)
    assert "https://broker.example.org" in refused.value.remedy


def test_loopback_is_told_by_address_not_by_looks() -> None:
    """Only localhost and real loopback addresses count."""
    assert all(is_loopback(host) for host in ("localhost", "127.9.9.9", "::1"))
    assert not any(is_loopback(host) for host in ("127.0.0.1.example.org", "10.0.0.1", "::"))
