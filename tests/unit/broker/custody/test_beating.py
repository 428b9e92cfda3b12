"""A replica's pulse: every step of a beat is for itself, and what failed comes again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from structlog.typing import EventDict

from credbroker.broker.custody.beating import Beating
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.secret import Secret
from tests.unit.broker.world import World

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


async def test_a_beat_says_that_the_replica_lives_and_raises_the_counter() -> None:
    """Others read the one, hosts remember the other."""
    world = World()
    await world.replica().engine.beating.beat()
    assert len(world.heartbeats.history) == 1
    assert world.rewind.history[-1].counter > 0
    assert world.host_marks.counter == world.rewind.history[-1].counter


async def test_a_step_that_fails_stops_no_other_and_is_told_once(logged: list[EventDict]) -> None:
    """A Vault that is away for an hour is not six lines a minute."""
    world = World()
    replica = world.replica()
    for _ in range(3):
        for _ in range(3):
            world.heartbeats.fail_next(AWAY)
        await replica.engine.beating.beat()
        world.heartbeats.mend()
    assert world.rewind.history
    assert [line["step"] for line in logged if line["event"] == "beat_failed"] == ["heartbeat"]
    await replica.engine.beating.beat()
    assert world.heartbeats.history


async def test_what_could_not_be_handed_in_is_counted() -> None:
    """For whoever looks at the metrics."""
    world = World()
    grant = await world.give_grant()
    world.replica("dead")
    late = replace(grant, refresh_token=Secret("refresh token", "late"), generation=2)
    await world.spools["dead"].keep(late)
    world.spools["dead"].die()
    await world.rewrite(generation=2, write_id="login")
    beating = world.replica("alive").engine.beating
    await beating.beat()
    assert beating.waiting_entries == 1
    await world.rewrite(generation=3, write_id="later")
    await beating.beat()
    assert beating.waiting_entries == 0


async def a_spool_that_waits(world: World) -> Beating:
    """Return the pulse of a replica that could not yet hand in what a dead one left."""
    grant = await world.give_grant()
    world.replica("dead")
    late = replace(grant, refresh_token=Secret("refresh token", "late"), generation=2)
    await world.spools["dead"].keep(late)
    world.spools["dead"].die()
    beating = world.replica("alive").engine.beating
    world.grants.fail_next(AWAY)
    await beating.beat()
    return beating


async def test_who_is_about_to_go_hands_in_what_still_waits() -> None:
    """Nobody may see this host's folder again for a long time."""
    world = World()
    beating = await a_spool_that_waits(world)
    world.grants.mend()
    assert await beating.empty_spool(10) == 0
    assert world.grant.generation == 2


async def test_who_is_about_to_go_waits_for_vault_a_little_and_no_longer() -> None:
    """What stays lies sealed on this host, for its next life."""
    world = World()
    beating = await a_spool_that_waits(world)
    for _ in range(99):
        world.grants.fail_next(AWAY)
    emptying = asyncio.ensure_future(beating.empty_spool(10))
    await world.clock.pass_time(9)
    assert not emptying.done()
    await world.clock.pass_time(2)
    assert await emptying == 1  # which the log tells the operator


async def test_who_is_about_to_go_is_not_held_up_by_a_vault_that_is_slow() -> None:
    """A thousand writes that each run out of time would take hours."""
    world = World()
    beating = await a_spool_that_waits(world)
    world.grants.mend()
    beating._steps["spool"] = lambda: world.clock.sleep(3600)
    emptying = asyncio.ensure_future(beating.empty_spool(10))
    await world.clock.pass_time(11)
    assert emptying.done()
    assert await emptying == 1


async def test_an_empty_spool_holds_nobody_up() -> None:
    """Most replicas go at once."""
    assert await World().replica().engine.beating.empty_spool(10) == 0


async def test_beats_come_every_ten_seconds_and_the_first_at_once() -> None:
    """A replica is known before it is asked for anything."""
    world = World()
    replica = world.replica()
    running = replica.start(replica.engine.beating.run())
    await world.clock.pass_time(0.1)
    assert len(world.heartbeats.history) == 1
    await world.clock.pass_time(10)
    assert len(world.heartbeats.history) == 2
    running.cancel()
