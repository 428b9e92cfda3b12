"""Refresh tokens under each policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.demo.issuer.consent import Grant
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.families import RefreshTokens
from credbroker.demo.issuer.settings import DeadAnswer, IssuerSettings, Lifetimes, RefreshPolicy
from credbroker.host.entropy import SystemEntropy

GRANT = Grant("broker", None, ("offline_access",))
ROTATING = [RefreshPolicy.ROTATE, RefreshPolicy.ROTATE_REVOKE_FAMILY]
GRACE_SECONDS = 10


def tokens(
    policy: RefreshPolicy, dead: DeadAnswer = DeadAnswer.IAM, refresh: int = 100
) -> RefreshTokens:
    """Return empty books."""
    lifetimes = Lifetimes(refresh=refresh)
    settings = IssuerSettings(
        (),
        (),
        lifetimes=lifetimes,
        refresh_policy=policy,
        grace_seconds=GRACE_SECONDS,
        dead_answer=dead,
    )
    return RefreshTokens(settings, SystemEntropy())


def refresh(books: RefreshTokens, value: str, now: float = 0, client_id: str = "broker") -> str:
    """Use a value as a refresh does."""
    books.present(value, client_id, now)
    return books.advance(value, now)


def test_reuse_gives_the_same_value_and_the_same_end() -> None:
    """The end is counted from the login, not from the last refresh."""
    books = tokens(RefreshPolicy.REUSE)
    value = books.begin(GRANT, 0)
    assert refresh(books, value, 99) == value
    assert not books.alive(value, 100)


@pytest.mark.parametrize("policy", ROTATING)
def test_rotation_kills_the_old_value_and_gives_a_full_life(policy: RefreshPolicy) -> None:
    """The new value lives from the refresh on."""
    books = tokens(policy)
    old = books.begin(GRANT, 0)
    new = refresh(books, old, 99)
    assert new != old
    assert not books.alive(old, 99)
    assert books.alive(new, 198)
    assert not books.alive(new, 199)
    assert books.issued() == [old, new]


@pytest.mark.parametrize(("policy", "survives"), [(ROTATING[0], True), (ROTATING[1], False)])
def test_an_old_value_used_again_hurts_as_the_policy_says(
    policy: RefreshPolicy, survives: bool
) -> None:
    """Plain rotation refuses and no more; the stricter one kills the whole family."""
    books = tokens(policy)
    old = books.begin(GRANT, 0)
    new = refresh(books, old)
    with pytest.raises(OAuthError):
        refresh(books, old)
    assert books.alive(new, 0) is survives


def test_within_the_grace_the_old_value_gives_the_same_successor() -> None:
    """As often as it is shown; the successor is as good as before."""
    books = tokens(RefreshPolicy.GRACE)
    old = books.begin(GRANT, 0)
    new = refresh(books, old, 5)
    assert [refresh(books, old, 5 + GRACE_SECONDS - 1) for _ in range(2)] == [new, new]
    assert refresh(books, new, 20) not in {old, new}


@pytest.mark.parametrize("used", [False, True])
def test_after_the_grace_the_old_value_hurts(used: bool) -> None:
    """By time, or because the successor was used: everything that followed is dead."""
    books = tokens(RefreshPolicy.GRACE)
    old = books.begin(GRANT, 0)
    live = refresh(books, old, 5)
    if used:
        live = refresh(books, live, 6)
    with pytest.raises(OAuthError):
        refresh(books, old, 7 if used else 5 + GRACE_SECONDS)
    assert not books.alive(live, 20)


def test_a_revoked_family_has_no_grace() -> None:
    """Neither its last value nor the one before."""
    books = tokens(RefreshPolicy.GRACE)
    old = books.begin(GRANT, 0)
    books.revoke(refresh(books, old))
    assert not any(books.alive(value, 0) for value in books.issued())


def test_a_policy_may_change_while_values_are_out() -> None:
    """Incident 15: it rotates from one refresh to the next, and stops to."""
    books = tokens(RefreshPolicy.REUSE)
    first = books.begin(GRANT, 0)
    assert refresh(books, first) == first
    books.policy = RefreshPolicy.ROTATE
    second = refresh(books, first)
    books.policy = RefreshPolicy.REUSE
    assert refresh(books, second) == second != first
    assert not books.alive(first, 0)


def test_books_go_back_and_forward_again() -> None:
    """Back, the used value is alive and its successor unknown; forward, all is as it was."""
    books = tokens(RefreshPolicy.ROTATE_REVOKE_FAMILY)
    old = books.begin(GRANT, 0)
    yesterday = books.copy()
    new = refresh(books, old)
    other = books.begin(GRANT, 0)
    today = books.copy()
    books.put_back(yesterday)
    assert (books.alive(old, 0), books.find(new), books.find(other)) == (True, None, None)
    stray = refresh(books, old)
    books.put_back(today)
    assert (books.alive(old, 0), books.find(stray)) == (False, None)
    assert books.alive(new, 0)
    assert books.alive(other, 0)
    assert books.issued() == [old, new, other, stray]


@pytest.mark.parametrize(
    ("dead", "error", "status"),
    [(DeadAnswer.IAM, "invalid_token", 401), (DeadAnswer.STANDARD, "invalid_grant", 400)],
)
def test_a_dead_value_is_refused_in_the_chosen_style(
    dead: DeadAnswer, error: str, status: int
) -> None:
    """IAM's way or the standard's; the value itself is never repeated."""
    books = tokens(RefreshPolicy.ROTATE, dead)
    with pytest.raises(OAuthError) as refusal:
        refresh(books, "never-issued")
    assert (refusal.value.error, refusal.value.status) == (error, status)
    assert "never-issued" not in str(refusal.value)


@pytest.mark.parametrize("policy", RefreshPolicy)
def test_a_foreign_client_destroys_what_it_shows(policy: RefreshPolicy) -> None:
    """It gets `invalid_client` 401, and the owner's refresh token is gone."""
    books = tokens(policy)
    value = books.begin(GRANT, 0)
    with pytest.raises(OAuthError, match="invalid_client") as refusal:
        refresh(books, value, client_id="other")
    assert refusal.value.status == 401
    assert not books.alive(value, 0)


def test_a_life_of_zero_has_no_end() -> None:
    """As at IAM, 0 means for ever."""
    books = tokens(RefreshPolicy.ROTATE, refresh=0)
    assert books.alive(books.begin(GRANT, 0), 1e12)


def test_revoking_any_value_ends_its_family_alone() -> None:
    """An old value names the family too; other families live on."""
    books = tokens(RefreshPolicy.ROTATE)
    old, other = books.begin(GRANT, 0), books.begin(GRANT, 0)
    new = refresh(books, old)
    books.revoke(old)
    books.revoke("unknown")
    assert not books.alive(new, 0)
    assert books.alive(other, 0)


@given(st.lists(st.integers(0, 20)), st.sampled_from(RefreshPolicy))
def test_a_family_has_one_live_value_and_one_in_grace(
    picks: list[int], policy: RefreshPolicy
) -> None:
    """Whatever values are used in whatever order; without a grace it is the one alone."""
    most = 2 if policy is RefreshPolicy.GRACE else 1
    books = tokens(policy)
    books.begin(GRANT, 0)
    for pick in picks:
        issued = books.issued()
        value = issued[pick % len(issued)]
        was_alive = books.alive(value, 0)
        try:
            refresh(books, value)
        except OAuthError:
            assert not was_alive
        assert sum(books.alive(one, 0) for one in books.issued()) <= most
