"""What is added to a lane is done, in order and not too much at once."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.keeper.lanes import Lane
from tests.fakes.clock import FakeClock, turns


async def test_no_more_is_done_at_once_than_there_are_places() -> None:
    """The rest waits its turn."""
    clock, begun = FakeClock(), list[int]()

    async def see_to(number: int) -> None:
        begun.append(number)
        await clock.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        lane = Lane(3, see_to, tasks.create_task)
        for number in range(7):
            lane.add(number)
        for done, unfinished in (([0, 1, 2], 7), ([0, 1, 2, 3, 4, 5], 4), (list(range(7)), 1)):
            await turns()
            assert (begun, lane.unfinished) == (done, unfinished)
            clock.advance(1)
    assert lane.unfinished == 0


async def test_what_is_urgent_goes_first() -> None:
    """Before all that waits."""
    seen = list[str]()

    async def see_to(thing: str) -> None:
        seen.append(thing)

    async with asyncio.TaskGroup() as tasks:
        lane = Lane(1, see_to, tasks.create_task)
        lane.add("one")
        lane.add("two")
        lane.add("urgent", first=True)
    assert seen == ["urgent", "one", "two"]


async def test_a_lane_that_ran_empty_goes_on_with_what_comes_later() -> None:
    """With as many places as before, whatever went wrong."""
    seen = list[str]()

    async def see_to(thing: str) -> None:
        seen.append(thing)
        if thing == "bad":
            raise ValueError(thing)

    started: list[asyncio.Task[None]] = []
    lane = Lane(1, see_to, lambda work: started.append(asyncio.ensure_future(work)))
    for thing in ("good", "bad", "good"):
        lane.add(thing)
        await turns()
    assert seen == ["good", "bad", "good"]
    with pytest.raises(ValueError, match="bad"):
        await started[1]
