"""Which Kerberos principals log in, and as whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed, NotAllowed
from credbroker.domain.principals import Principal, PrincipalRules

HOME = PrincipalRules(("CERN.CH", "FNAL.GOV"))
WITH_DOMAIN = PrincipalRules(("CERN.CH",), "@cern.ch")
ODD = ["", "@", "/", "//", "\\@", "\\/", "\\", " ", "\n", "\0", "*", "..", "é", "$", "%2f", ":"]


def credkey(text: str, rules: PrincipalRules = HOME) -> str:
    """Return whose grants this principal opens."""
    return rules.credkey(Principal.parse(text))


def opens(text: str, rules: PrincipalRules = HOME) -> str | None:
    """Return the same, or None where it is refused."""
    try:
        return credkey(text, rules)
    except NotAllowed:
        return None


def test_a_person_opens_the_grants_of_the_same_name() -> None:
    """In each realm that is listed."""
    assert credkey("ada@CERN.CH") == "ada"
    assert credkey("ada.l-2_x@FNAL.GOV") == "ada.l-2_x"


def test_the_domain_stands_where_the_identity_keys_have_it() -> None:
    """Behind the person's name, also in a robot's: it lies below its person's."""
    assert credkey("ada@CERN.CH", WITH_DOMAIN) == "ada@cern.ch"
    assert credkey("ada/cron/host1@CERN.CH", WITH_DOMAIN) == "ada@cern.ch/cron/host1"


def test_a_robot_opens_its_own_grants_and_not_its_persons() -> None:
    """Named by user, purpose and host."""
    robot = Principal.parse("ada/cron/host1.cern.ch@CERN.CH")
    assert (robot.name, robot.realm) == ("ada/cron/host1.cern.ch", "CERN.CH")
    assert HOME.credkey(robot) == "ada/cron/host1.cern.ch"


@pytest.mark.parametrize(
    "realm", ["OTHER.ORG", "cern.ch", "CERN.CH.OTHER.ORG", "X.CERN.CH", "CERN.CH."]
)
def test_the_same_name_in_a_realm_that_is_not_listed_is_somebody_else(realm: str) -> None:
    """Realms are compared to the letter."""
    with pytest.raises(NotAllowed, match="do not log in here"):
        credkey(f"ada@{realm}")


@pytest.mark.parametrize(
    "principal",
    [
        "host/broker.test@CERN.CH",
        "ada/admin@CERN.CH",
        "ada/a/b/c@CERN.CH",
        "ada//b@CERN.CH",
        "/a/b@CERN.CH",
        "ada/@CERN.CH",
        "ada",
        "ada@",
        "@CERN.CH",
        "",
        "ada@OTHER@CERN.CH",
        "ada\\@other@CERN.CH",
        "ada\\/a\\/b@CERN.CH",
        "PC1$@CERN.CH",
        "../a/b@CERN.CH",
        "ada/../b@CERN.CH",
        "ada@CERN.CH\n",
        "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS",
    ],
)
def test_every_other_shape_is_refused(principal: str) -> None:
    """Hosts, administrators, quoted characters, the anonymous."""
    with pytest.raises(NotAllowed, match="Only principals of people"):
        Principal.parse(principal)


parts = st.sampled_from([*ODD, "ada", "bob", "cron", "CERN.CH", "@CERN.CH", "@OTHER.ORG"])


@given(st.lists(parts, max_size=8).map("".join))
def test_nobody_opens_what_is_not_named_after_them(text: str) -> None:
    """Whatever the principal: what it opens is spelt like it, up to a listed realm."""
    found = opens(text)
    assert found is None or text in {f"{found}@{realm}" for realm in HOME.realms}


names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,8}", fullmatch=True)
principals = st.one_of(names, st.tuples(names, names, names).map("/".join))


@given(principals, principals)
def test_two_principals_of_a_realm_never_open_the_same_grants(one: str, other: str) -> None:
    """With a domain as without."""
    for rules in (HOME, WITH_DOMAIN):
        same = opens(f"{one}@CERN.CH", rules) == opens(f"{other}@CERN.CH", rules)
        assert same == (one == other)


def test_a_name_that_is_too_long_for_an_identity_key_is_refused() -> None:
    """As everywhere."""
    with pytest.raises(Malformed):
        credkey(f"{'a' * 256}@CERN.CH")
