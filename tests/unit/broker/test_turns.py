"""Who is too fast waits, and hurts no other."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker import turns as turns_module
from credbroker.broker.turns import LONGEST_WAIT_SECONDS, Turns
from credbroker.domain.errors import TooManyRequests
from credbroker.domain.limits import Allowance
from tests.fakes.clock import FakeClock, turns

PACE = Allowance(per_second=1.0, burst=3)
TOO_OFTEN = "This is done too often."


@pytest.fixture
def clock() -> FakeClock:
    """Time that a test moves."""
    return FakeClock()


async def test_a_burst_passes_at_once_and_the_next_waits_its_turn(clock: FakeClock) -> None:
    """It goes on when the pace allows it; another one does not wait at all."""
    pacing = Turns(clock, PACE, TOO_OFTEN)
    for _ in range(PACE.burst):
        await pacing.wait("one")
    late = asyncio.ensure_future(pacing.wait("one"))
    await turns()
    assert not late.done()
    await pacing.wait("another")
    clock.advance(1.0)
    await late


async def test_who_would_wait_too_long_is_sent_away_at_once(clock: FakeClock) -> None:
    """It is told how long; that does not count against it."""
    pacing = Turns(clock, PACE, TOO_OFTEN)
    waiting = [asyncio.ensure_future(pacing.wait("one")) for _ in range(PACE.burst + 5)]
    await turns()
    with pytest.raises(TooManyRequests, match=TOO_OFTEN) as refused:
        await pacing.wait("one")
    assert refused.value.wait_seconds == pytest.approx(LONGEST_WAIT_SECONDS + 1.0)
    clock.advance(1.0)
    waiting.append(asyncio.ensure_future(pacing.wait("one")))
    for _ in range(10):
        clock.advance(1.0)
        await turns()
    assert all(one.done() for one in waiting)


async def test_who_came_long_ago_is_forgotten(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the memory for it has a bound."""
    monkeypatch.setattr(turns_module, "MOST_NAMES", 2)
    pacing = Turns(clock, PACE, TOO_OFTEN)
    for name in ("first", "second", "third"):
        await pacing.wait(name)
    assert list(pacing._made_up_at) == ["second", "third"]
