"""What a grant needs, and when to look again: early enough, never in a loop."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import (
    DAY_SECONDS,
    LEAST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PROBE_CREDKEY,
    Deed,
    DeedKind,
    KeepingRules,
    expiry_warning,
    next_deed,
    unused_seconds,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
RULES = KeepingRules()
HOUR = 3600.0

seconds = st.floats(-400 * DAY_SECONDS, 400 * DAY_SECONDS)
lives = st.one_of(st.none(), st.floats(-10, 60), st.floats(-DAY_SECONDS, 400 * DAY_SECONDS))
rules = st.builds(
    KeepingRules,
    idle_refresh_seconds=st.floats(0.001, 30 * DAY_SECONDS),
    dormant_seconds=st.floats(0.001, 400 * DAY_SECONDS),
    warn_seconds=st.floats(0.001, 30 * DAY_SECONDS),
    lost_seconds=st.floats(0.001, 30 * DAY_SECONDS),
    claim_seconds=st.floats(0.001, 1000),
)


def at(days: float) -> datetime.datetime:
    """Return the time so many days after noon."""
    return NOON + datetime.timedelta(days=days)


def grant(state: GrantState = GrantState.READY, **changes: Any) -> Grant:
    """Return a grant that was made, used and refreshed at noon."""
    made = Grant(
        key=GrantKey("cms", "ada", "default"),
        line="line-1",
        issuer_url="https://issuer.test/",
        subject="sub-ada",
        client_id="broker",
        scopes=ScopeSet.parse("storage.read:/"),
        refresh_token=Secret("refresh token", "first"),
        generation=1,
        state=state,
        write_id="write-1",
        created_at=NOON,
        refreshed_at=NOON,
    )
    return replace(made, **changes)


def deed_after(days: float, one: Grant, warned_seconds: float | None = None) -> DeedKind:
    """Return what is due for a grant written at noon, so many days later."""
    return next_deed(one, days * DAY_SECONDS, at(days), RULES, warned_seconds).kind


# -- refresh tokens do not idle out ----------------------------------------------------------------


def test_a_refresh_token_of_unknown_life_is_used_every_week() -> None:
    """A quarter earlier at the most, so that not all come at the same hour."""
    assert deed_after(5.2, grant()) is DeedKind.REST
    assert deed_after(7, grant()) is DeedKind.REFRESH


def test_a_refresh_token_of_known_life_is_used_before_two_thirds_of_it_are_over() -> None:
    """And not in its first half."""
    known = grant(refresh_expires_at=at(30))
    assert deed_after(14.9, known) is DeedKind.REST
    assert deed_after(20, known) is DeedKind.REFRESH


def test_grants_refreshed_in_the_same_hour_are_due_over_more_than_a_day() -> None:
    """Each by its own write."""
    due = [
        next(
            day / 10
            for day in range(50, 71)
            if deed_after(day / 10, grant(write_id=f"write-{number}")) is DeedKind.REFRESH
        )
        for number in range(200)
    ]
    assert min(due) < 5.5
    assert max(due) > 6.7


def test_an_announced_end_that_was_wrong_is_not_refreshed_for_without_end() -> None:
    """The refresh came after it and worked: its life is as good as unknown."""
    assert deed_after(5, grant(refresh_expires_at=at(-1))) is DeedKind.REST
    assert deed_after(7, grant(refresh_expires_at=at(-1))) is DeedKind.REFRESH


def test_a_record_written_anew_after_a_failed_refresh_does_not_pass_for_refreshed() -> None:
    """The refresh token is as old as it was."""
    due = next_deed(grant(refresh_expires_at=at(30)), 60, at(25), RULES)
    assert due.kind is DeedKind.REFRESH


def test_a_refresh_that_keeps_failing_is_tried_less_and_less_often() -> None:
    """Every five minutes at first, every six hours in the end."""
    overdue = (7.01, 7.1, 8, 30)
    again = [next_deed(grant(), day * DAY_SECONDS, at(day), RULES).again_seconds for day in overdue]
    assert again == sorted(again)
    assert again[-1] == LONGEST_PAUSE_SECONDS


def test_a_grant_without_a_refresh_token_is_let_be() -> None:
    """There is nothing to keep alive."""
    assert deed_after(30, grant(refresh_token=None)) is DeedKind.REST


# -- what nobody uses is let go --------------------------------------------------------------------


def refreshed_in_vain(days: float, state: GrantState = GrantState.READY, **changes: Any) -> Grant:
    """Return a grant whose record the keeper has just written, so many days after its last use."""
    return grant(state, refreshed_at=at(days), unused_seconds=days * DAY_SECONDS, **changes)


def dormant(days: float, warned_seconds: float | None = None, **changes: Any) -> DeedKind:
    """Return what is due for it at that moment."""
    one = refreshed_in_vain(days, **changes)
    return next_deed(one, 0, at(days), RULES, warned_seconds).kind


def test_what_nobody_used_is_warned_of_from_a_week_before_once_a_day() -> None:
    """The person can still come back."""
    assert dormant(82.9) is DeedKind.REST
    assert dormant(83.1) is DeedKind.WARN
    assert dormant(83.1, warned_seconds=HOUR) is DeedKind.REST
    assert dormant(84.2, warned_seconds=DAY_SECONDS) is DeedKind.WARN


def test_what_nobody_used_for_ninety_days_is_let_go() -> None:
    """But never without a warning a day before, however long nobody looked."""
    assert dormant(90, warned_seconds=DAY_SECONDS) is DeedKind.LET_GO
    assert dormant(90) is DeedKind.WARN
    assert dormant(400) is DeedKind.WARN
    assert dormant(400, warned_seconds=HOUR) is DeedKind.REST


def test_the_time_before_the_keepers_last_write_counts_as_unused_too() -> None:
    """Its own refreshes are no use; what was written for a caller begins at 0."""
    assert unused_seconds(grant(unused_seconds=60.0), HOUR) == HOUR + 60.0
    assert unused_seconds(grant(), HOUR) == HOUR
    assert unused_seconds(grant(unused_seconds=60.0), -HOUR) == 60.0


@given(seconds, seconds, seconds, st.floats(0, 89 * DAY_SECONDS))
def test_wrong_clocks_let_nothing_go_that_was_used_within_ninety_days(
    ours: float, refreshers: float, users: float, unused: float
) -> None:
    """Neither this replica's, nor theirs who refreshed or used it last, nor all of them."""
    moment, refreshed, used = (at(skew / DAY_SECONDS) for skew in (ours, refreshers, users))
    one = grant(created_at=used, used_at=used, refreshed_at=refreshed, unused_seconds=unused)
    due = next_deed(one, 300.0, moment, RULES, warned_seconds=DAY_SECONDS)
    assert due.kind is not DeedKind.LET_GO


@pytest.mark.parametrize("state", [GrantState.PAUSED, GrantState.IN_DOUBT])
def test_what_is_paused_or_in_doubt_is_let_go_as_well(state: GrantState) -> None:
    """After the same time and the same warning; until then it is only looked at."""
    assert dormant(82.9, state=state) is DeedKind.REST
    assert dormant(83.1, state=state) is DeedKind.WARN
    assert dormant(90, DAY_SECONDS, state=state) is DeedKind.LET_GO


def test_the_probes_grant_is_kept_alive_and_never_let_go() -> None:
    """Nobody is meant to use it."""
    probe = refreshed_in_vain(400, key=GrantKey("cms", PROBE_CREDKEY, "default"))
    assert next_deed(probe, 0, at(400), RULES, DAY_SECONDS).kind is DeedKind.REST
    assert next_deed(probe, 0, at(408), RULES, DAY_SECONDS).kind is DeedKind.REFRESH


# -- other states ----------------------------------------------------------------------------------


def test_a_lost_grant_is_kept_for_a_week() -> None:
    """The issuer may have been wrong. Its age is Vault's; our clock does not matter."""
    lost = grant(GrantState.LOST)
    assert next_deed(lost, 6.9 * DAY_SECONDS, at(400), RULES).kind is DeedKind.REST
    assert next_deed(lost, 7 * DAY_SECONDS, at(-400), RULES).kind is DeedKind.LET_GO


def test_a_claim_is_looked_at_once_it_is_older_than_any_refresh() -> None:
    """By Vault's clock."""
    claimed = grant(GrantState.CLAIMED)
    assert next_deed(claimed, 10, at(400), RULES) == Deed(DeedKind.REST, 300)
    assert next_deed(claimed, 301, at(-400), RULES).kind is DeedKind.SETTLE


@pytest.mark.parametrize("state", [GrantState.PAUSED, GrantState.IN_DOUBT])
def test_what_only_a_person_can_mend_the_keeper_does_not_refresh(state: GrantState) -> None:
    """However long its refresh token was not used."""
    known = grant(state, refresh_expires_at=at(30))
    assert deed_after(80, grant(state)) is DeedKind.REST
    assert deed_after(29, known) is DeedKind.REST


def test_a_tombstone_is_only_looked_at() -> None:
    """However old it gets."""
    assert deed_after(400, grant(GrantState.ENDED, refresh_token=None)) is DeedKind.REST


# -- never in a loop -------------------------------------------------------------------------------


@given(st.sampled_from(GrantState), seconds, seconds, lives, rules)
def test_the_next_look_is_always_later_by_minutes_and_within_hours(
    state: GrantState, age: float, skew: float, life: float | None, by: KeepingRules
) -> None:
    """Whatever the lifetimes, the settings and the clocks (incident 21)."""
    ends = None if life is None else NOON + datetime.timedelta(seconds=life)
    one = grant(state, refresh_expires_at=ends)
    for warned in (None, 0.0, 2 * DAY_SECONDS):
        deed = next_deed(one, age, NOON + datetime.timedelta(seconds=skew), by, warned)
        assert LEAST_PAUSE_SECONDS <= deed.again_seconds <= LONGEST_PAUSE_SECONDS


@given(lives, rules)
def test_a_keeper_never_refreshes_a_grant_more_often_than_every_five_minutes(
    life: float | None, by: KeepingRules
) -> None:
    """Also where each answer extends by less than that, or by nothing."""
    elapsed = refreshes = 0.0
    one = grant()
    for number in range(200):
        now = NOON + datetime.timedelta(seconds=elapsed)
        age = (now - one.refreshed_at).total_seconds()
        deed = next_deed(one, age, now, by)
        if deed.kind is DeedKind.REFRESH:
            refreshes += 1
            ends = None if life is None else now + datetime.timedelta(seconds=life)
            one = grant(refreshed_at=now, refresh_expires_at=ends, write_id=f"write-{number}")
            deed = next_deed(one, 0.0, now, by)  # as a keeper notes what it has stored
        elapsed += deed.again_seconds
    assert refreshes <= elapsed / LEAST_PAUSE_SECONDS + 1


@given(st.floats(-2, 2), st.floats(0, 7), st.text())
def test_a_clock_that_jumps_by_two_days_makes_a_refresh_early_by_that_much_at_the_most(
    jump: float, days: float, write_id: str
) -> None:
    """And never late: the record's age does not jump."""
    one = grant(write_id=write_id)
    age = days * DAY_SECONDS
    jumped = next_deed(one, age, at(days + jump), RULES).kind
    if next_deed(one, age, at(days), RULES).kind is DeedKind.REFRESH:
        assert jumped is DeedKind.REFRESH
    if days + 2 < 5.25:
        assert jumped is DeedKind.REST


# -- a person's grant that ends --------------------------------------------------------------------


def test_an_end_that_refreshes_do_not_move_is_warned_of_days_before() -> None:
    """The last refresh was made inside the week, and the end stayed where it was."""
    fixed = grant(refreshed_at=at(24), refresh_expires_at=at(30))
    assert expiry_warning(fixed, at(24)) == pytest.approx(6)
    assert expiry_warning(fixed, at(31)) == 0


def test_an_end_that_the_next_refresh_may_move_is_no_cause_for_alarm() -> None:
    """The keeper refreshes after two thirds at the latest; what is over then is not extended."""
    extended = grant(refresh_expires_at=at(10))
    assert expiry_warning(extended, at(6.6)) is None
    assert expiry_warning(extended, at(7.6)) == pytest.approx(2.4)


def test_where_no_end_is_known_or_nothing_is_left_to_expire_nothing_is_warned_of() -> None:
    """An end that was announced for a time before the last refresh says nothing either."""
    assert expiry_warning(grant(), at(400)) is None
    assert expiry_warning(grant(refresh_expires_at=at(-1)), at(1)) is None
    assert expiry_warning(grant(GrantState.LOST, refresh_expires_at=at(1)), at(0)) is None
