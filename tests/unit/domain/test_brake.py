"""An issuer that calls too many grants dead is not taken at its word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.brake import (
    LATEST,
    MOST_DEAD_KEPT,
    SLICE_SECONDS,
    WINDOW_SECONDS,
    Verdicts,
    tips,
)


@pytest.mark.parametrize(
    ("answers", "dead", "tipped"),
    [(5, 5, False), (6, 6, True), (599, 6, True), (600, 6, False), (700, 7, False), (700, 8, True)],
)
def test_the_brake_tips_beyond_five_and_one_percent(answers: int, dead: int, tipped: bool) -> None:
    """Five people may well have logged out at the issuer itself."""
    assert tips(answers, dead) is tipped


@given(ticks=st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_the_last_ten_minutes_count_and_nothing_older(ticks: list[tuple[float, bool]]) -> None:
    """To within one slice."""
    noted: list[tuple[float, bool]] = []
    verdicts, now = Verdicts(), 0.0
    for pause, dead in ticks:
        now += pause
        verdicts.note(now, len(noted), dead=dead)
        noted.append((now, dead))
        answers, deaths = verdicts.counted(now)
        surely = [one for at, one in noted if at > now - WINDOW_SECONDS]
        perhaps = [one for at, one in noted if at > now - WINDOW_SECONDS - SLICE_SECONDS]
        assert len(surely) <= answers <= len(perhaps)
        assert sum(surely) <= deaths <= sum(perhaps)


def test_most_of_the_last_answers_say_whether_it_is_one_person_or_all() -> None:
    """More than half of the last 20, or of as many as there were."""
    verdicts = Verdicts()
    assert not verdicts.mostly_dead()
    verdicts.note(0, "ada", dead=True)
    assert verdicts.mostly_dead()
    verdicts.note(0, "bob", dead=False)
    assert not verdicts.mostly_dead()
    for number in range(LATEST):
        verdicts.note(0, number, dead=True)
    assert verdicts.mostly_dead()


def test_what_was_counted_can_be_forgotten() -> None:
    """After an operator has looked at it."""
    verdicts = Verdicts()
    verdicts.note(0, "ada", dead=True)
    verdicts.forget()
    assert verdicts.counted(0) == (0, 0)
    assert not verdicts.mostly_dead()
    verdicts.note(1, "ada", dead=True)
    assert verdicts.counted(1) == (0, 0)


def test_one_grant_that_is_dead_again_and_again_counts_once() -> None:
    """One person who revokes and logs in again is one person; alive again, it does not count."""
    verdicts = Verdicts()
    for now in range(6):
        verdicts.note(now, "ada", dead=True)
    assert verdicts.counted(6) == (6, 1)
    verdicts.note(6, "ada", dead=False)
    assert verdicts.counted(6) == (7, 0)
    assert not verdicts.called_dead("ada")


def test_only_so_many_dead_grants_are_told_from_each_other() -> None:
    """An issuer that calls millions dead does not fill the memory."""
    verdicts = Verdicts()
    for number in range(MOST_DEAD_KEPT + 1):
        verdicts.note(0, number, dead=True)
    assert verdicts.counted(0) == (MOST_DEAD_KEPT + 1, MOST_DEAD_KEPT)
