"""What failed a moment ago is not asked again at once, and repeats its error meanwhile."""

from __future__ import annotations

import pytest

from credbroker.broker.custody import resting
from credbroker.broker.custody.resting import LONGEST_PAUSE_SECONDS, Rests
from credbroker.domain.errors import IssuerFailed, IssuerUnreachable
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy

AWAY = IssuerUnreachable("The issuer does not answer.")


def test_the_error_is_repeated_until_the_pause_is_over() -> None:
    """As an error of its own, so that two callers do not share one traceback."""
    clock = FakeClock()
    rests = Rests[str](clock, FakeEntropy())
    rests.check("cms")
    rests.rest("cms", AWAY)
    with pytest.raises(IssuerUnreachable, match="does not answer") as caught:
        rests.check("cms")
    assert caught.value is not AWAY
    rests.check("atlas")
    clock.advance(1)
    rests.check("cms")


def test_pauses_grow_with_failures_in_a_row_up_to_a_limit() -> None:
    """And start anew after a success."""
    clock = FakeClock()
    rests = Rests[str](clock, FakeEntropy())
    for pause in (1, 2, 4, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS):
        rests.rest("cms", AWAY)
        clock.advance(pause - 0.1)
        with pytest.raises(IssuerUnreachable):
            rests.check("cms")
        clock.advance(0.1)
        rests.check("cms")
    rests.wake("cms")
    rests.rest("cms", AWAY)
    clock.advance(1)
    rests.check("cms")


def test_a_pause_can_be_given() -> None:
    """However often it failed before."""
    clock = FakeClock()
    rests = Rests[int](clock, FakeEntropy())
    rests.rest(1, IssuerFailed("It failed."), 30)
    clock.advance(29)
    with pytest.raises(IssuerFailed):
        rests.check(1)
    clock.advance(1)
    rests.check(1)


def test_what_rested_long_ago_is_forgotten() -> None:
    """So that a million troubled grants take no memory for ever."""
    clock = FakeClock()
    rests = Rests[int](clock, FakeEntropy())
    for thing in range(1000):
        rests.rest(thing, AWAY)
        clock.advance(1)
    assert len(rests._resting) < 20


def test_of_too_many_the_first_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the memory for it has a bound; one that fails again takes nobody's room."""
    monkeypatch.setattr(resting, "MOST_RESTING", 2)
    rests = Rests[str](FakeClock(), FakeEntropy())
    for name in ("first", "second", "second", "third"):
        rests.rest(name, AWAY)
    assert list(rests._resting) == ["second", "third"]
