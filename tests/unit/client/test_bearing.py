"""Where a token may go, and when another one is called for."""

from __future__ import annotations

import pytest

from credbroker.client.bearing import Hosts, refused
from credbroker.domain.errors import Malformed, NotAllowed

DAV = "https://dav.example.org"


@pytest.mark.parametrize(
    "url",
    [
        "https://dav.example.org/store/file?a=b",
        "https://DAV.example.org:443/",
        "https://dav.example.org./",
        "https://other.example.org:1094/",
        "HTTPS://[2001:db8::1]:8443/",
    ],
)
def test_a_token_goes_to_the_hosts_that_were_named(url: str) -> None:
    """However they are spelt."""
    hosts = Hosts(["dav.example.org", "https://other.example.org:1094/", "[2001:db8::1]:8443"], ())
    assert hosts.include(url)
    hosts.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://dav.example.org/",
        "http://dav.example.org:443/",
        "https://dav.example.org:8443/",
        "https://dav.example.org.evil.example/",
        "https://evil.example/dav.example.org",
        "https://dav.example.org@evil.example/",
        "https://evil.example#dav.example.org",
        "https://dav.example.org:no/",
        "ftp://dav.example.org/",
        "//dav.example.org/",
        "",
    ],
)
def test_a_token_goes_nowhere_else(url: str) -> None:
    """Never over plain http, to another port, or to what only looks like the host."""
    hosts = Hosts("dav.example.org", ())
    assert not hosts.include(url)
    with pytest.raises(NotAllowed, match="must not go"):
        hosts.check(url)


def test_what_is_said_of_a_refused_address_holds_no_secret() -> None:
    """Neither its user, nor its path, nor its query."""
    with pytest.raises(NotAllowed) as told:
        Hosts(DAV, ()).check("https://alice:word@evil.example:99/path?authz=secret")
    assert "https://evil.example:99." in told.value.sentence
    assert not any(one in told.value.sentence for one in ("alice", "word", "authz", "secret"))


def test_without_hosts_the_audiences_say_who_may_see_it() -> None:
    """Those that are addresses; hosts that are named count alone."""
    audiences = ["https://wlcg.cern.ch/jwt/v1/any", DAV, "fts"]
    assert Hosts(None, audiences).include(f"{DAV}/file")
    assert not Hosts(None, audiences).include("https://fts/")
    assert not Hosts(["other.example.org"], audiences).include(f"{DAV}/file")


@pytest.mark.parametrize("audiences", [(), ("fts", "https://wlcg.cern.ch/jwt/v1/any")])
def test_a_token_for_nobody_in_particular_goes_nowhere(audiences: tuple[str, ...]) -> None:
    """The wildcard audience is an address too, and no host that a token is for."""
    with pytest.raises(Malformed, match="which hosts"):
        Hosts(None, audiences)


@pytest.mark.parametrize(
    "named", ["http://dav.example.org", "dav.example.org:port", "ftp://a", ":80"]
)
def test_what_is_no_host_is_refused(named: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Malformed, match="no host"):
        Hosts([named], ())


@pytest.mark.parametrize(
    ("status", "challenge", "is_refused"),
    [
        (401, 'Bearer realm="dav", error="invalid_token", error_description="expired"', True),
        (401, "Bearer error=invalid_token", True),
        (401, 'Basic realm="x", Bearer realm="dav",\n error = "INVALID_TOKEN"', True),
        (401, "Bearer", False),
        (401, 'Bearer error="insufficient_scope"', False),
        (401, 'Bearer error="invalid_token_format"', False),
        (401, 'Basic realm="invalid_token"', False),
        (401, None, False),
        (403, 'Bearer error="invalid_token"', False),
        (200, 'Bearer error="invalid_token"', False),
    ],
)
def test_only_a_401_that_says_so_calls_for_another_token(
    status: int, challenge: str | None, is_refused: bool
) -> None:
    """RFC 6750 section 3.1."""
    assert refused(status, challenge) is is_refused
