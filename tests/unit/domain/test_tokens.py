"""What an issuer gives is held against what was asked; wider, foreign or late ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.errors import IssuerGaveLess, IssuerMisbehaved
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import (
    AccessToken,
    allows_more,
    check_issued,
    check_proof,
    check_times,
    serves,
)
from tests.unit.things import ISSUER, NOON, access_token, scope_sets, seconds

SE = "https://se.test"


def check(token: AccessToken, scope: str, audiences: tuple[str, ...] = (SE,)) -> None:
    """Hold `token` against a request for `scope` and `audiences`."""
    asked = Right(ScopeSet.parse(scope), audiences)
    check_issued(token, asked, issuer_url=ISSUER, subject="sub-ada", now=NOON)


@pytest.mark.parametrize(
    ("given_scope", "asked"),
    [
        ("storage.read:/a", "storage.read:/a"),
        ("openid offline_access storage.read:/a", "storage.read:/a"),
        ("openid offline_access", ""),
    ],
)
def test_a_token_as_asked_is_accepted(given_scope: str, asked: str) -> None:
    """What only steers a login may stand in its scope too."""
    check(access_token(given_scope), asked)


@pytest.mark.parametrize(
    ("given_scope", "asked"),
    [
        ("storage.read:/", "storage.read:/a"),
        ("storage.read:/a storage.modify:/a", "storage.read:/a"),
        ("storage.modify:/a", "storage.create:/a"),
        ("storage.read:/a fts", "storage.read:/a"),
        ("storage.read:/a", ""),
    ],
)
def test_a_wider_token_is_refused(given_scope: str, asked: str) -> None:
    """Also when nothing but a login was asked for."""
    with pytest.raises(IssuerMisbehaved):
        check(access_token(given_scope), asked)


def test_a_token_with_less_is_refused_by_name() -> None:
    """A job with less than it asked for would fail later and further away."""
    with pytest.raises(IssuerGaveLess, match=r"storage\.create:/b"):
        check(access_token("storage.read:/a"), "storage.read:/a storage.create:/b")


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer_url": "https://issuer.test"},
        {"subject": "sub-bob"},
        {"audiences": ()},
        {"audiences": ("https://se.test/",)},
        {"audiences": (SE, "https://se2.test")},
        {"audiences": (ANY_AUDIENCE,)},
        {"version": "2.0"},
        {"version": "1"},
        {"version": "1.0.0"},
        {"version": "0.9"},
        {"groups": ("/cms",)},
        {"expires_at": NOON},
        {"not_before": NOON + seconds(61)},
    ],
)
def test_a_token_that_is_off_is_refused(changes: dict[str, Any]) -> None:
    """About somebody else, for another audience, of another profile, late, early, with groups."""
    with pytest.raises(IssuerMisbehaved):
        check(access_token("storage.read:/a", **changes), "storage.read:/a")


def test_a_higher_minor_version_is_accepted() -> None:
    """As the profile demands."""
    check(access_token("storage.read:/a", version="1.7"), "storage.read:/a")


def test_groups_asked_for_may_come_in_the_claim_alone() -> None:
    """Not every issuer repeats them in the scope."""
    check(access_token("storage.read:/a", groups=("/cms",)), "storage.read:/a wlcg.groups")
    with pytest.raises(IssuerGaveLess):
        check(access_token("storage.read:/a"), "storage.read:/a wlcg.groups")


@pytest.mark.parametrize("skew", [-300, -60, 0, 60])
def test_the_issuers_clock_may_be_off_by_a_minute(skew: float) -> None:
    """And by any time into the past, as long as the token has not expired."""
    check_times(access_token(not_before=NOON + seconds(skew)), NOON)


def test_there_is_no_grace_after_the_end() -> None:
    """One microsecond is enough to be late, and none is enough too."""
    check_times(access_token(), NOON + seconds(3599.999999))
    with pytest.raises(IssuerMisbehaved):
        check_times(access_token(), NOON + seconds(3600))


def test_a_token_serves_what_it_covers() -> None:
    """Every scope, and every audience or the wildcard."""
    token = access_token("storage.modify:/a")
    assert serves(token, Right(ScopeSet.parse("storage.create:/a/b"), (SE,)))
    assert not serves(token, Right(ScopeSet.parse("storage.read:/a"), (SE,)))
    assert not serves(token, Right(ScopeSet.parse("storage.modify:/a"), ("https://x.test",)))
    anywhere = access_token("storage.modify:/a", audiences=(ANY_AUDIENCE,))
    assert serves(anywhere, Right(ScopeSet.parse("storage.modify:/a"), ("https://x.test",)))


@pytest.mark.parametrize(
    ("scope", "audience", "more"),
    [
        ("openid storage.read:/a/b", SE, False),
        ("storage.read:/", SE, True),
        ("storage.read:/a compute.read", SE, True),
        ("storage.read:/a", ANY_AUDIENCE, True),
    ],
)
def test_a_token_allows_more_by_a_scope_or_by_an_audience(
    scope: str, audience: str, more: bool
) -> None:
    """What only steers a login is no right."""
    token = access_token(scope, audiences=(audience,))
    assert allows_more(token, Right(ScopeSet.parse("storage.read:/a"), (SE,))) is more


@given(scope_sets, scope_sets)
def test_an_accepted_token_is_neither_wider_nor_narrower(given_: ScopeSet, asked: ScopeSet) -> None:
    """Each side covers the other, groups and login words aside."""
    token = access_token(str(given_))
    try:
        check(token, str(asked.rights()))
    except (IssuerMisbehaved, IssuerGaveLess):
        return
    assert not len(asked.rights().missing(given_.rights()))
    assert not len(given_.missing(asked.rights()))


def test_a_proof_about_the_right_person_may_allow_whatever_it_likes() -> None:
    """It is of no profile, wider than asked, and for nobody in particular."""
    token = access_token("storage.modify:/", audiences=(), version="", groups=("/x",))
    check_proof(token, issuer_url=ISSUER, subject="sub-ada", now=NOON)


@pytest.mark.parametrize(
    ("issuer_url", "subject", "late"),
    [("https://evil.test/", "sub-ada", 0), (ISSUER, "sub-bob", 0), (ISSUER, "sub-ada", 3600)],
)
def test_a_proof_about_somebody_else_or_from_too_long_ago_is_none(
    issuer_url: str, subject: str, late: float
) -> None:
    """Who vouches for whom, and that it still does, is all that counts."""
    with pytest.raises(IssuerMisbehaved):
        check_proof(
            access_token(), issuer_url=issuer_url, subject=subject, now=NOON + seconds(late)
        )
