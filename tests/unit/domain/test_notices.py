"""What is due is told once, in time, and never of what nobody depends on or what has ended."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.losses import BRAKED
from credbroker.domain.names import GrantKey
from credbroker.domain.notices import (
    By,
    Cause,
    Dependents,
    Notice,
    NoticeRules,
    Told,
    ToldRecord,
    Work,
    begun,
    causes,
    due,
    is_address,
    issuer_due,
    settled,
    verified_address,
)
from tests.unit.things import NOON, grant

DAY = 86400.0
RULES = NoticeRules(login_seconds=28 * DAY)
CHANNELS = ("mail", "webhook")
CLAIMS = {"email": "ada@example.org", "email_verified": True}

times = st.floats(0, 40 * DAY).map(lambda seconds: NOON + datetime.timedelta(seconds=seconds))
works = st.builds(
    Work, name=st.sampled_from(["sim", "run"]), where=st.just("192.0.2.7"), ends_at=times
)
dependents = st.lists(works, max_size=3).map(lambda some: Dependents(tuple(some), bool(some)))
outcomes = st.sampled_from([True, False, None])
steps = st.lists(
    st.tuples(
        st.floats(60, 3 * DAY),
        st.sampled_from(list(GrantState)),
        st.integers(1, 3),
        dependents,
        st.dictionaries(st.sampled_from(CHANNELS), outcomes),
    ),
    max_size=20,
)


def later(days: float) -> datetime.datetime:
    """Return a time so many days after noon."""
    return NOON + datetime.timedelta(days=days)


def depending(*ends: datetime.datetime) -> Dependents:
    """Return jobs that end then."""
    return Dependents(tuple(Work("run", "192.0.2.7", end) for end in ends), anybody=True)


def told_of(
    one: Grant, on: Dependents, told: dict[By, Told], now: datetime.datetime
) -> tuple[Notice, ...]:
    """Return what is due by both channels."""
    return due(one, on, told, CHANNELS, now=now, rules=RULES)


@given(steps, st.none() | st.floats(0.1, 30))
def test_each_notice_is_told_once_and_never_without_a_reason(
    story: list[tuple[float, GrantState, int, Dependents, dict[str, bool | None]]],
    ends_in: float | None,
) -> None:
    """Whatever happens to a grant, whoever depends on it, and however often telling fails."""
    now, record = NOON, ToldRecord("")
    sure: Counter[tuple[Cause, int, str]] = Counter()
    last: dict[By, datetime.datetime] = {}
    end = later(ends_in) if ends_in is not None else None
    for seconds, state, generation, on, answers in story:
        now += datetime.timedelta(seconds=seconds)
        one = grant(
            state=state, generation=generation, refresh_expires_at=end,
            refreshed_at=max(NOON, now - datetime.timedelta(days=1)),
        )  # fmt: skip
        for notice in due(one, on, record.told, CHANNELS, now=now, rules=RULES):
            assert notice.cause in causes(one, now, RULES)
            assert on.anybody
            assert state is not GrantState.ENDED
            if notice.cause.is_end:
                assert notice.works
                assert notice.ends_at is not None
                assert notice.ends_at > now
            record = begun(record, notice, now, "write-1")
            for channel in notice.channels:
                by = (notice.cause, channel)
                if by in last:
                    assert (now - last[by]).total_seconds() >= DAY
                outcome = answers.get(channel, True)
                if outcome is not False:
                    last[by] = now
                sure[notice.cause, notice.mark, channel] += outcome is True
            done = {channel: answers.get(channel, True) for channel in notice.channels}
            record = settled(record, notice.cause, done, "write-2")
    assert {
        count for (cause, _, _), count in sure.items() if cause.is_end
    } <= {0, 1}  # fmt: skip


@given(dependents, times, st.sampled_from([GrantState.ENDED, GrantState.READY]))
def test_of_what_has_ended_or_is_well_there_is_no_trouble_to_tell(
    on: Dependents, now: datetime.datetime, state: GrantState
) -> None:
    """After its end a grant's notices are over, whoever still depends on it."""
    one = grant(state=state, refresh_expires_at=NOON, created_at=NOON - datetime.timedelta(days=28))
    assert told_of(one, on, {}, now) == ()


@pytest.mark.parametrize(
    ("days", "cause"),
    [
        (7.1, None),
        (6.9, Cause.ENDS_IN_7_DAYS),
        (2.1, Cause.ENDS_IN_7_DAYS),
        (1.9, Cause.ENDS_IN_2_DAYS),
        (0.1, Cause.ENDS_IN_1_DAY),
        (-0.1, None),
    ],
)
def test_an_end_is_told_7_2_and_1_days_ahead(days: float, cause: Cause | None) -> None:
    """By the time that is left; a job that is over before does not care."""
    one = grant(refresh_expires_at=later(days), refreshed_at=NOON - datetime.timedelta(days=0.01))
    found = told_of(one, depending(later(days + 1)), {}, NOON)
    assert [notice.cause for notice in found] == ([cause] if cause else [])
    assert told_of(one, depending(later(days - 0.05)), {}, NOON) == ()


def test_a_logins_end_is_told_to_whom_it_cuts_off() -> None:
    """A delivery lasts as long as the login that consented; a job's own shorter time is its own."""
    one = grant(created_at=NOON - datetime.timedelta(days=27))
    (found,) = told_of(one, depending(later(1), later(0.5), later(9)), {}, NOON)
    assert (found.cause, found.ends_at, len(found.works)) == (Cause.ENDS_IN_1_DAY, later(1), 1)
    assert told_of(one, depending(later(0.5), later(9)), {}, NOON) == ()


def test_an_end_that_moves_by_seconds_is_the_same_end() -> None:
    """An issuer announces a rest of life with each refresh; only a later end is told again."""
    one = grant(refresh_expires_at=later(6), refreshed_at=NOON - datetime.timedelta(days=0.01))
    (notice,) = told_of(one, depending(later(30)), {}, NOON)
    record = settled(
        begun(ToldRecord(""), notice, NOON, "w"), notice.cause, dict.fromkeys(CHANNELS, True), "w"
    )
    moved = replace(one, refresh_expires_at=later(6.001), refreshed_at=later(1.5))
    told = dict(record.told)
    assert told_of(moved, depending(later(30)), told, later(1.6)) == ()
    extended = replace(one, refresh_expires_at=later(12), refreshed_at=later(6))
    assert len(told_of(extended, depending(later(30)), told, later(6))) == 1


def test_what_an_issuer_says_under_the_brake_and_the_throw_away_login_are_nobodys_notice() -> None:
    """The one is not believed, the other belongs to nobody."""
    braked = grant(state=GrantState.PAUSED, reason=BRAKED)
    probe = grant(key=GrantKey("egi", PROBE_CREDKEY, "default"), state=GrantState.LOST)
    assert causes(braked, NOON, RULES) == ()
    assert causes(probe, NOON, RULES) == ()


def test_an_issuer_in_trouble_is_told_once_a_day() -> None:
    """Also when it is in trouble again on the same day."""
    notice = issuer_due(Cause.ISSUER_AWAY, {}, ["webhook"], NOON)
    assert notice is not None
    record = begun(ToldRecord(""), notice, NOON, "w")
    record = settled(record, notice.cause, {"webhook": True}, "w")
    assert issuer_due(Cause.ISSUER_AWAY, record.told, ["webhook"], later(0.9)) is None
    assert issuer_due(Cause.ISSUER_BRAKED, record.told, ["webhook"], later(0.9)) is not None
    assert issuer_due(Cause.ISSUER_AWAY, record.told, ["webhook"], later(1)) is not None


def test_only_an_address_that_the_issuer_verified_counts() -> None:
    """Whatever else stands beside it."""
    assert verified_address(CLAIMS) == "ada@example.org"
    for odd in (
        {"email_verified": False}, {"email_verified": "true"}, {"email_verified": None},
        {"email": ""}, {"email": None}, {"email": ["ada@example.org"]},
    ):  # fmt: skip
        assert verified_address(CLAIMS | odd) == ""
    assert verified_address({}) == ""


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.org\r\nBcc: eve@evil.test", "ada@example.org\n", "ada@example.org, eve@evil.test",
        "Ada <ada@example.org>", "<ada@example.org>", '"ada b"@example.org', "ada@ex ample.org",
        "ada@@example.org", "@example.org", "ada@", "ada", "ada@exämple.org", "äda@example.org",
        "ada@example..org", "ada@-example.org", ".ada@example.org", "ada@[192.0.2.1]",
        "a" * 65 + "@example.org", "ada@" + "a." * 130 + "org", "ada\x00@example.org",
    ],
)  # fmt: skip
def test_what_could_end_a_line_or_name_two_people_is_no_address(text: str) -> None:
    """Such a one is kept nowhere."""
    assert not is_address(text)
    assert verified_address({"email": text, "email_verified": True}) == ""


@given(st.text(max_size=80))
def test_an_address_is_one_word_of_plain_letters(text: str) -> None:
    """So it can stand in a header and in a command to a mail server."""
    if is_address(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(' ,;:<>()[]"\\')
        assert text.count("@") == 1


@pytest.mark.parametrize(("login_days", "first"), [(7, 2), (2, 1), (8, 7)])
def test_a_login_is_not_told_to_end_when_it_has_only_begun(login_days: int, first: int) -> None:
    """Where logins last a week, each would begin with a mail that it ends within one."""
    rules = NoticeRules(login_seconds=login_days * DAY)
    one, on = grant(created_at=NOON), depending(later(login_days))
    told = [
        (day, notice.cause.value)
        for day in range(login_days)
        for notice in due(one, on, {}, CHANNELS, now=later(day + 0.01), rules=rules)
    ]
    assert told[0][0] == login_days - first
    assert told[0][1].startswith(f"ends_in_{first}_day")
