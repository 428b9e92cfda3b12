"""A Vault that was set back is noticed before anything is posted, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.sorting import LEAP, Seen
from credbroker.domain.errors import (
    Busy,
    CredbrokerError,
    LocalFileUnfit,
    StoreRewound,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.marks import RewindMark
from credbroker.ports import StaleVersionError
from tests.fakes.clock import turns
from tests.fakes.host_marks import FakeHostMarks
from tests.unit.broker.rewind_world import ADA, STEPS, Host, RewindWorld

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
SEGMENT = ADA.segment()


async def rise(world: RewindWorld, *hosts: Host) -> None:
    """Give the world a grant and let time pass, so that the hosts remember where Vault was."""
    await world.give()
    await world.beat(*hosts, times=2)


async def test_the_first_beat_makes_the_record_and_every_beat_raises_it() -> None:
    """By one, and it is on the host's disk."""
    world = RewindWorld()
    a, b = world.host("a"), world.host("b")
    await world.beat(a, b, times=3)
    assert world.mark == RewindMark(counter=7)
    assert (a.marks.counter, b.marks.counter) == (6, 7)


async def test_a_lower_counter_halts_everybody(logged: list[EventDict]) -> None:
    """The first to see it says so in the record, in the log and in the trail; the others obey."""
    world = RewindWorld()
    a, b = world.host("a"), world.host("b")
    await rise(world, a, b)
    world.snapshot()
    await world.beat(a, b, times=2)
    world.restore()
    await world.beat(a, b)
    assert (a.rewinding.halted, b.rewinding.halted) == (True, True)
    assert world.mark.halted_by == "a"
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["store_rewound"]
    assert world.audit.events().count("store_rewound") == 1
    with pytest.raises(StoreRewound):
        b.rewinding.check()


async def test_a_halt_leaps_the_counter_and_then_it_rests() -> None:
    """It is ahead of every host's memory at once, so nobody calls a second halt."""
    world = RewindWorld()
    a, b = world.host("a"), world.host("b")
    await rise(world, a, b)
    world.snapshot()
    await world.beat(a, b, times=5)
    highest = world.mark.counter
    world.restore()
    await world.beat(a, b, times=3)
    assert world.mark.counter == highest - 1 + LEAP
    assert (a.marks.counter, b.marks.counter) == (highest - 1, highest)


async def test_the_right_snapshot_after_a_wrong_one_ends_the_halt() -> None:
    """Nothing that anybody remembers is missing in it."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.snapshot()
    await world.beat(a, times=5)
    newest = world.rewinds.snapshot(), world.grants.snapshot()
    world.restore()
    await world.beat(a)
    assert world.mark.halted_by == "a"
    world.rewinds.restore(newest[0])
    world.grants.restore(newest[1])
    await world.beat(a, times=2)
    assert world.mark.halted_by == ""
    a.rewinding.check()
    await world.refresh(a)


async def test_a_record_that_is_gone_is_a_rewind_too() -> None:
    """If this host has ever seen one."""
    world = RewindWorld()
    a = world.host("a")
    world.snapshot()
    await world.beat(a)
    world.restore()
    await world.beat(a)
    assert a.rewinding.halted


async def test_a_restart_forgets_nothing() -> None:
    """What the host remembers is on its disk."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.snapshot()
    await world.beat(a, times=2)
    world.restore()
    again = world.host("a", FakeHostMarks(beside=a.marks))
    await world.beat(again)
    assert again.rewinding.halted


async def test_a_newcomer_that_remembers_nothing_takes_vault_as_it_is() -> None:
    """And takes the alarm from nobody: those who remember still see less."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.snapshot()
    await world.beat(a, times=2)
    world.restore()
    await world.beat(world.host("new"), a)
    assert world.mark.halted_by == "a"


async def test_a_host_whose_heartbeat_fell_back_halts_though_the_counter_caught_up() -> None:
    """Others raised the restored counter, before this host looked, to where it had been."""
    world = RewindWorld()
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    await rise(world, a, b, c)
    world.snapshot()
    await a.beat()
    world.restore()
    await world.beat(b, c)
    assert not b.rewinding.halted
    assert world.mark.counter > a.marks.counter
    await world.beat(a)
    assert world.mark.halted_by == "a"


async def test_a_host_that_was_away_during_a_halt_calls_no_second_one() -> None:
    """Its heartbeat fell back, and so did everybody's; the others have seen to it."""
    world = RewindWorld()
    a, away = world.host("a"), world.host("away")
    await rise(world, a, away)
    world.snapshot()
    await world.beat(a, away, times=2)
    world.restore()
    await world.beat(a)
    await world.beat(a)
    await world.lift("away")
    await world.beat(away, a, away)
    assert world.mark.halted_at is None
    assert not away.rewinding.halted


async def test_an_old_reading_calls_no_halt() -> None:
    """An active node on its way out answers with what was; it takes no writes."""
    world = RewindWorld()
    a, b = world.host("a"), world.host("b")
    await rise(world, a, b)
    old = world.rewinds.snapshot()
    await world.beat(a, b, times=2)
    now = world.rewinds.snapshot()
    world.rewinds.answer_from(old, times=1)
    await a.rewinding.beat()
    assert world.rewinds.snapshot().keys() == now.keys()
    assert not a.rewinding.halted


@pytest.mark.parametrize("error", [AWAY, StoreUnclear("No answer.")])
async def test_what_is_raised_or_not_is_seen_by_the_next_beat(error: StoreUnavailable) -> None:
    """A write without an answer is neither believed nor repeated."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.rewinds.fail_next(error, acted=True, on="put")
    with contextlib.suppress(StoreUnavailable):
        await a.rewinding.beat()
    await world.beat(a, times=2)
    assert not a.rewinding.halted


async def test_a_silent_vault_confirms_nothing() -> None:
    """Nobody knows then where it stands."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.rewinds.fail_next(AWAY, on="get")
    with pytest.raises(StoreUnavailable):
        await a.rewinding.confirm(world.grants.newest(SEGMENT))


async def test_callers_share_a_reading_that_began_after_all_of_them_came() -> None:
    """The first has one of its own; all who come while it runs share the next."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    grant = world.grants.newest(SEGMENT)
    before = world.rewinds.reads
    async with asyncio.TaskGroup() as callers:
        callers.create_task(a.rewinding.confirm(grant))
        while world.rewinds.reads == before:
            await turns(1)
        for _ in range(50):
            callers.create_task(a.rewinding.confirm(grant))
    assert world.rewinds.reads == before + 2


async def test_a_reading_that_began_before_the_restore_confirms_nothing() -> None:
    """It answers with a state that is gone by now."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    world.snapshot()
    await world.beat(a, times=2)
    grant = world.grants.newest(SEGMENT)
    before = world.rewinds.reads
    early = asyncio.ensure_future(a.rewinding.confirm(grant))
    while world.rewinds.reads == before:
        await turns(1)
    late = asyncio.ensure_future(a.rewinding.confirm(grant))
    world.restore()
    results = await asyncio.gather(early, late, return_exceptions=True)
    assert isinstance(results[1], StoreRewound)


async def test_a_use_is_on_the_disk_of_the_host_before_it_is_confirmed() -> None:
    """A restore may take the claim from Vault, and a crash the rest."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    steps = world.steps(a)
    while await anext(steps) != "confirmed":
        pass
    assert Seen.from_number(a.marks.generation(SEGMENT)) == Seen(1, posts=1, steps=1)
    await steps.aclose()


async def test_a_disk_that_fails_stops_no_refresh(logged: list[EventDict]) -> None:
    """It would matter only if Vault were set back meanwhile; it is told of, once."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    for _ in range(2):
        a.marks.fail_next(LocalFileUnfit("marks: the marks cannot be written (disk full)."))
    await world.refresh(a)
    await world.refresh(a)
    assert world.posted == ["ada-first", "rt-1"]
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["host_forgets"]


async def test_a_grant_behind_our_memory_halts_though_the_counter_is_right() -> None:
    """A snapshot younger than a beat: the host that used the grant since knows it."""
    world = RewindWorld()
    a, b = world.host("a"), world.host("b")
    await rise(world, a, b)
    world.snapshot()
    await world.refresh(a)
    world.restore()
    with pytest.raises(StoreRewound):
        await world.refresh(a)
    assert world.mark.halted_by == "a"
    with pytest.raises(CredbrokerError):
        await world.refresh(b)
    assert world.replayed == []


async def test_a_grant_that_was_read_too_early_halts_nobody() -> None:
    """The record is looked at again; a later one there only says that ours is old."""
    world = RewindWorld()
    a = world.host("a")
    await rise(world, a)
    old = world.grants.newest(SEGMENT)
    await world.refresh(a)
    with pytest.raises(StaleVersionError):
        await a.rewinding.confirm(old)
    assert not a.rewinding.halted


async def test_a_halt_stops_no_grant_whose_value_stays_the_same() -> None:
    """Where the issuer is on record to give the same refresh token back, nothing was spent."""
    world = RewindWorld()
    a = world.host("a", may_rotate=lambda _: False)
    await rise(world, a)
    world.snapshot()
    await world.beat(a, times=2)
    world.restore()
    await world.beat(a)
    assert a.rewinding.halted
    await a.rewinding.confirm(world.grants.newest(SEGMENT))


async def everything_else_happens(
    world: RewindWorld, a: Host, b: Host, events: list[str], stop_after: str = ""
) -> None:
    """Let `a` refresh, and `events` happen between its steps; they hold the steps, too."""
    steps = world.steps(a)
    running = True
    for event in events:
        try:
            if event in STEPS:
                running = running and await anext(steps, None) is not None and event != stop_after
            elif event == "snapshot":
                world.snapshot()
            elif event == "restore":
                world.restore()
            elif event == "beats":
                await world.beat(b, a, times=1)
            elif event == "other":
                await world.refresh(b)
        except (CredbrokerError, StaleVersionError):
            running = running and event not in STEPS
        if not running and event in STEPS:
            await steps.aclose()


async def afterwards(world: RewindWorld, a: Host, b: Host) -> None:
    """Let everybody notice, an operator say that it may go on, and everybody try again."""
    await world.beat(a, b, times=5)
    try:
        await world.lift()
    except Busy as error:
        pytest.fail(error.remedy)
    await world.beat(a, b)
    for host in (a, b):
        with contextlib.suppress(CredbrokerError, StaleVersionError):
            await world.refresh(host)


def interleavings(events: list[str]) -> Iterator[list[str]]:
    """Yield every way to put `events`, in this order, between the steps of a refresh."""
    for slots in itertools.combinations_with_replacement(range(len(STEPS)), len(events)):
        yield [
            one
            for at, step in enumerate(STEPS)
            for one in (
                step,
                *(event for slot, event in zip(slots, events, strict=True) if slot == at),
            )
        ]


ORDERS = [
    ["other", "snapshot", "beats", "restore"],
    ["snapshot", "other", "beats", "restore"],
    ["snapshot", "beats", "other", "restore"],
    ["snapshot", "beats", "restore", "other"],
]


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
async def test_wherever_a_restore_falls_no_spent_value_is_posted(order: list[str]) -> None:
    """Between any two steps of one host's refresh, with another's before, after or between."""
    for events in interleavings(order):
        world = RewindWorld()
        a, b = world.host("a"), world.host("b")
        await rise(world, a, b)
        await everything_else_happens(world, a, b, events)
        await afterwards(world, a, b)
        assert world.replayed == [], events


@pytest.mark.slow
@pytest.mark.parametrize("killed_after", STEPS[1:])
async def test_wherever_a_host_dies_around_a_restore_no_spent_value_is_posted(
    killed_after: str,
) -> None:
    """What it was about to do stands on its disk."""
    for events in interleavings(["snapshot", "beats", "restore"]):
        world = RewindWorld()
        a, b = world.host("a"), world.host("b")
        await rise(world, a, b)
        await everything_else_happens(world, a, b, events, killed_after)
        again = world.host("a", FakeHostMarks(beside=a.marks))
        await afterwards(world, again, b)
        assert world.replayed == [], events
