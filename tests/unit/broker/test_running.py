"""A deed once begun goes to its end, whoever stops waiting."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.running import Deeds
from credbroker.domain.errors import Busy, LoginNeeded
from tests.fakes.clock import FakeClock, turns


async def slow(clock: FakeClock, done: list[str]) -> str:
    """Take 20 seconds."""
    await clock.sleep(20)
    done.append("done")
    return "result"


async def test_a_waiter_is_told_busy_while_the_deed_goes_on() -> None:
    """After its own patience, and the result can still be had later."""
    clock, done = FakeClock(), list[str]()
    deeds = Deeds(clock)
    deed = deeds.begin(slow(clock, done), "slow")
    waiter = deeds.begin(deeds.result(deed, 9), "waiter")
    await clock.pass_time(10)
    with pytest.raises(Busy):
        await waiter
    assert not done
    await clock.pass_time(10)
    assert done == ["done"]
    assert await deeds.result(deed, 9) == "result"


async def test_a_cancelled_waiter_leaves_the_deed_and_other_waiters_alone() -> None:
    """As when one of two clients hangs up."""
    clock, done = FakeClock(), list[str]()
    deeds = Deeds(clock)
    deed = deeds.begin(slow(clock, done), "slow")
    leaves, stays = (deeds.begin(deeds.result(deed, 60), "waiter") for _ in range(2))
    await turns()
    leaves.cancel()
    await clock.pass_time(20)
    assert leaves.cancelled()
    assert await stays == "result"


async def test_finish_returns_only_when_every_deed_is_over() -> None:
    """Also those that a deed begins while it is waited for."""
    clock, done = FakeClock(), list[str]()
    deeds = Deeds(clock)

    async def begins_another() -> None:
        await clock.sleep(1)
        deeds.begin(slow(clock, done), "second")

    deeds.begin(begins_another(), "first")
    finished = asyncio.ensure_future(deeds.finish())
    await clock.pass_time(20)
    assert not finished.done()
    await clock.pass_time(1)
    assert finished.done()
    assert done == ["done"]


async def test_a_failure_nobody_waits_for_hurts_no_other_deed() -> None:
    """It neither ends the loop nor is reported as never looked at."""
    clock, done = FakeClock(), list[str]()
    deeds = Deeds(clock)

    async def fail() -> None:
        raise LoginNeeded("The issuer no longer accepts this login.")

    deeds.begin(fail(), "fails")
    other = deeds.begin(slow(clock, done), "slow")
    await clock.pass_time(20)
    assert await other == "result"
