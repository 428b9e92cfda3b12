"""A bell wakes who waits, at once or after a while."""

from __future__ import annotations

import asyncio

from credbroker.edge.sessions.bell import Bell
from tests.fakes.clock import FakeClock, turns


async def test_rings_before_a_hearing_are_one() -> None:
    """Who was busy is woken once, not for each."""
    bell = Bell(FakeClock())
    bell.ring()
    bell.ring()
    await bell.heard()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bell.heard())
        await turns()
        assert not waiting.done()
        bell.ring()


async def test_a_wait_ends_by_itself_and_leaves_nothing_behind() -> None:
    """Neither a sleeper after a ring nor a ring after a sleep."""
    clock = FakeClock()
    bell = Bell(clock)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bell.heard_within(60))
        await clock.until_somebody_sleeps()
        clock.advance(60)
        await waiting
        waiting = group.create_task(bell.heard_within(60))
        await clock.until_somebody_sleeps()
        assert not waiting.done()
        bell.ring()
    assert clock._sleepers == []
