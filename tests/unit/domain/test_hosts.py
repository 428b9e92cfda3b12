"""Who a host is, by its name, its groups, its token, its certificate and what it signed."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain import hosts
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, NotAllowed
from credbroker.domain.hosts import Host, HostCertificate, HostSecret
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, refusal, seconds

LX1, PUBLIC = "lx1.example.org", "https://broker.example.org"
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
host_names = st.builds(
    lambda parts, last: ".".join([*parts, last]), st.lists(labels, max_size=3), st.just("org")
)


@pytest.mark.parametrize("name", [LX1, "LX1.Example.ORG", "a", "xn--bcher-kva.example", "9.org"])
def test_a_name_is_taken_in_lower_case(name: str) -> None:
    """As DNS compares them."""
    assert hosts.check_host_name(name) == name.lower()


@pytest.mark.parametrize(
    "name",
    ["", ".", "lx1.", ".lx1", "a..b", "-a.org", "a-.org", "a_b.org", "*.org", "192.0.2.7", "::1",
     "b\u00fccher.org", "\u212aelvin.org", "a.org\n", "a/b", f"{'a' * 64}.org", "a." * 126 + "org"],
)  # fmt: skip
def test_what_is_no_name_is_refused(name: str) -> None:
    """Addresses among them: those are contained by their own form."""
    assert refusal(lambda: hosts.check_host_name(name))


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        (LX1, "lx*.example.org", True),
        (LX1, LX1, True),
        ("lx.example.org", "lx*.example.org", True),
        (LX1, "*.example.org", True),
        ("evil.lx1.example.org", "*.example.org", False),
        ("lx1.evil.example.org", "lx*.example.org", False),
        ("lx1.example.org.evil.net", "lx*.example.org", False),
        ("lxevil-example.org", "lx*.example.org", False),
        ("notlx1.example.org", "lx*.example.org", False),
        ("lx1.examplexorg", "lx*.example.org", False),
        (LX1, "*", False),
    ],
)
def test_a_star_stays_in_its_label(name: str, pattern: str, fits: bool) -> None:
    """Nothing may stand before, behind, or where a dot should be."""
    assert hosts.matches(name, pattern) is fits


@given(host_names)
def test_a_name_is_a_pattern_of_itself_alone(name: str) -> None:
    """And of no longer one that begins or ends like it."""
    assert hosts.matches(name, hosts.check_host_pattern(name))
    for other in (f"x{name}", f"x.{name}", f"{name}x", f"{name}.x"):
        assert not hosts.matches(other, name)


@given(host_names, st.data())
def test_a_pattern_fits_only_what_it_is_made_of(name: str, data: st.DataObject) -> None:
    """Any cut of a label may be a star; what fits has the same labels around it."""
    parts = name.split(".")
    at = data.draw(st.integers(0, len(parts) - 1))
    start = data.draw(st.integers(0, len(parts[at])))
    end = data.draw(st.integers(start, len(parts[at])))
    pattern = ".".join([*parts[:at], f"{parts[at][:start]}*{parts[at][end:]}", *parts[at + 1 :]])
    assert hosts.matches(name, pattern)
    other = data.draw(host_names)
    if hosts.matches(other, pattern):
        assert re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]*"), other)
        assert other.count(".") == name.count(".")


@pytest.mark.parametrize("pattern", ["", "a..b", "lx[12].org", "lx?.org", "a b", "b\u00fc*.org"])
def test_only_stars_mean_more_than_themselves(pattern: str) -> None:
    """What a shell would understand is refused, not misread."""
    assert refusal(lambda: hosts.check_host_pattern(pattern))


def test_a_host_may_be_in_several_groups_or_none() -> None:
    """In the order of the settings."""
    groups = {"all": ["*.example.org"], "lx": ["lx*.example.org"], "none": []}
    assert hosts.groups_of(LX1, groups) == ("all", "lx")
    assert hosts.groups_of("lx1.example.net", groups) == ()


def token(
    prefix: str = hosts.HOST_TOKEN, place: str = "p" * 22, secret: str = "s" * 43
) -> HostSecret:
    """Return a token of a host."""
    return HostSecret(prefix, place, Secret("host's secret", secret))


def test_a_token_is_read_as_it_is_shown_and_shows_nothing() -> None:
    """What is stored is a hash."""
    shown = token()
    assert HostSecret.parse("ch", shown.text().reveal()) == shown
    assert "sss" not in repr(shown) + repr(shown.text()) + shown.secret_hash()


@pytest.mark.parametrize(
    "text",
    ["", "cb_" + "p" * 22 + "." + "s" * 43, "cj_" + "p" * 43 + "." + "s" * 43,
     "ch_../../x." + "s" * 43, "ch_" + "p" * 22 + "." + "s" * 42, "ch_" + "p" * 22 + "." + "s" * 43 + "\n"],
)  # fmt: skip
def test_a_token_of_another_form_is_unknown(text: str) -> None:
    """A lease's or a join token among them; nothing of it reaches a path."""
    with pytest.raises(LeaseUnknown):
        HostSecret.parse("ch", text)


def test_a_join_token_is_good_once_for_one_key() -> None:
    """The same trade again is the same; with another key it is refused."""
    host = hosts.invited(Host(LX1), "hash-1", NOON)
    with_key = hosts.joined(host, "hash-1", "key-1", NOON + seconds(599))
    assert (with_key.key, with_key.joined_at) == ("key-1", NOON + seconds(599))
    assert hosts.joined(with_key, "hash-1", "key-1", NOON + seconds(9999)) is with_key
    with pytest.raises(NotAllowed):
        hosts.joined(with_key, "hash-1", "key-2", NOON + seconds(1))


@pytest.mark.parametrize("shown", ["hash-2", ""])
def test_a_join_token_of_another_or_of_nobody_is_refused(shown: str) -> None:
    """An empty record has no hash that an empty one could equal."""
    for host in (None, Host(LX1), hosts.invited(Host(LX1), "hash-1", NOON)):
        with pytest.raises(NotAllowed):
            hosts.joined(host, shown, "", NOON)


def test_a_join_token_lasts_ten_minutes() -> None:
    """To the second."""
    host = hosts.invited(Host(LX1), "hash-1", NOON)
    with pytest.raises(NotAllowed, match="ran out"):
        hosts.joined(host, "hash-1", "key-1", NOON + seconds(600))


def test_a_new_join_token_ends_the_one_before_and_not_the_key() -> None:
    """The key goes on until it is replaced."""
    first = hosts.invited(Host(LX1, key="key-0", joined_at=NOON), "hash-1", NOON)
    second = hosts.invited(first, "hash-2", NOON)
    assert second.key == "key-0"
    with pytest.raises(NotAllowed):
        hosts.joined(second, "hash-1", "key-1", NOON)
    assert hosts.joined(second, "hash-2", "key-2", NOON).key == "key-2"


def certificate(*names: str, until: float = 3600.0) -> HostCertificate:
    """Return what a certificate from noon on says."""
    return HostCertificate(names, NOON, NOON + seconds(until))


def test_the_first_listed_name_of_a_certificate_counts() -> None:
    """Aliases that are not listed, and wildcards, name nobody."""
    names = ("alias.example.org", "*.example.org", "LX1.example.org", "lx2.example.org")
    assert hosts.name_in(certificate(*names), ["lx*.example.org"], NOON) == LX1


@pytest.mark.parametrize(
    "names", [(), ("lx1.example.net",), ("*.example.org",), ("lx1.x.example.org",)]
)
def test_a_certificate_without_a_listed_name_is_refused(names: tuple[str, ...]) -> None:
    """Whoever signed it."""
    with pytest.raises(NotAllowed):
        hosts.name_in(certificate(*names), ["lx*.example.org"], NOON)


@pytest.mark.parametrize("late", [-1.0, 3600.0])
def test_a_certificate_counts_while_it_holds(late: float) -> None:
    """A connection may be older than that."""
    with pytest.raises(NotAllowed, match="not valid now"):
        hosts.name_in(certificate(LX1), ["*.example.org"], NOON + seconds(late))


def claims(**changes: Any) -> dict[str, object]:
    """Return the claims of a good assertion."""
    good = {"iss": LX1, "sub": LX1, "aud": PUBLIC, "exp": NOON.timestamp() + 60, "jti": "j"}
    return {name: one for name, one in {**good, **changes}.items() if one is not None}


@pytest.mark.parametrize("off", [-119.0, -60.0, 0.0, 60.0])
def test_clocks_may_be_a_minute_apart(off: float) -> None:
    """Either way."""
    assert (
        hosts.check_assertion(claims(exp=NOON.timestamp() + 60 + off), LX1, (PUBLIC,), NOON) == "j"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "lx2.example.org"}, {"sub": "lx2.example.org"}, {"sub": None},
        {"aud": "https://other.example.org"}, {"aud": [PUBLIC, "https://other"]}, {"aud": None},
        {"exp": NOON.timestamp() + 121}, {"exp": NOON.timestamp() - 60}, {"exp": None},
        {"exp": True}, {"exp": "soon"}, {"exp": float("inf")}, {"exp": float("nan")},
        {"exp": 10**400},
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "j" * 201}, {"jti": "a\nb"},
    ],
    ids=str,
)  # fmt: skip
def test_an_assertion_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    """About another host, for another broker, for longer, or again and again."""
    with pytest.raises(NotAllowed):
        hosts.check_assertion(claims(**changes), LX1, (PUBLIC,), NOON)


@given(
    st.tuples(st.text(max_size=9), st.text(max_size=9)),
    st.tuples(st.text(max_size=9), st.text(max_size=9)),
)
def test_no_two_proofs_share_a_place(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Wherever the host's name ends and the jti begins."""
    assert (hosts.session_place(*one) == hosts.session_place(*other)) is (one == other)
    assert len(hosts.session_place(*one)) == 22


def test_a_session_lasts_an_hour_or_as_long_as_the_certificate() -> None:
    """Whichever is shorter; its token is known by its hash."""
    session = hosts.session_of(token(), LX1, "192.0.2.7", NOON)
    assert session.ends_at == NOON + datetime.timedelta(hours=1)
    assert hosts.session_of(token(), LX1, "", NOON, NOON + seconds(9)).ends_at == NOON + seconds(9)
    assert hosts.check_session(session, token(), NOON + seconds(3599)) == session
    with pytest.raises(LeaseEnded):
        hosts.check_session(session, token(), NOON + seconds(3600))
    for known in (None, session, replace(session, secret_hash="")):
        with pytest.raises(LeaseUnknown):
            hosts.check_session(known, token(secret="t" * 43), NOON)
