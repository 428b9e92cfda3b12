"""Waiting has an end: that of what is waited for, or the one that was said."""

from __future__ import annotations

import asyncio

from credbroker.edge.waiting import is_done, nap
from tests.fakes.clock import FakeClock, turns


async def test_a_task_is_waited_for_so_long_and_goes_on() -> None:
    """Whoever waits is told, and the task is not harmed."""
    clock, end = FakeClock(), asyncio.Event()
    task = asyncio.ensure_future(end.wait())
    waiting = asyncio.ensure_future(is_done(task, 10.0, clock))
    await clock.pass_time(10.0)
    assert await waiting is False
    assert not task.cancelled()
    end.set()
    assert await is_done(task, 10.0, clock)


async def test_a_nap_ends_with_the_event_or_with_its_time() -> None:
    """Whichever comes first."""
    clock, event = FakeClock(), asyncio.Event()
    napping = asyncio.ensure_future(nap(10.0, clock, until=event))
    await clock.pass_time(9.0)
    assert not napping.done()
    event.set()
    await turns()
    assert napping.done()
    event.clear()
    napping = asyncio.ensure_future(nap(10.0, clock, until=event))
    await clock.pass_time(10.0)
    assert napping.done()
