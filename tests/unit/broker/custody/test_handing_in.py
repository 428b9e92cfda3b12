"""What a dead process left in the spool goes over everything but a later record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict

from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.grants import GrantState
from credbroker.domain.secret import Secret
from tests.unit.broker.world import Replica, World

READY, CLAIMED, IN_DOUBT = GrantState.READY, GrantState.CLAIMED, GrantState.IN_DOUBT
LOST, ENDED = GrantState.LOST, GrantState.ENDED
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


async def left_behind(world: World, value: str = "successor", generation: int = 2) -> Replica:
    """Let a process die that had spooled this successor; return another one of the same host."""
    grant = await world.give_grant()
    world.replica("dead")
    later = replace(
        grant,
        refresh_token=Secret("refresh token", value),
        generation=generation,
        write_id="spooled",
    )
    await world.spools["dead"].keep(later)
    world.spools["dead"].die()
    return world.replica("alive")


@pytest.mark.parametrize("state", [READY, CLAIMED, IN_DOUBT, LOST])
async def test_a_spooled_successor_goes_over_every_older_record(state: GrantState) -> None:
    """Whatever was made of the claim meanwhile; then the spool is empty."""
    world = World()
    alive = await left_behind(world)
    await world.rewrite(state=state, posts=1, write_id="meanwhile")
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert (world.grant.state, world.refresh_token) == (READY, "successor")
    assert world.grant.posts == 0
    assert not world.spooled()
    assert world.audit.events() == ["successor_handed_in"]


async def test_a_spooled_successor_is_dropped_once_a_later_one_is_stored() -> None:
    """And nothing is told to the issuer: the later one lives on it."""
    world = World()
    alive = await left_behind(world)
    later = Secret("refresh token", "later")
    await world.rewrite(refresh_token=later, generation=3, write_id="w")
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert world.refresh_token == "later"
    assert not world.spooled()
    assert not world.issuer.revoked


async def test_what_was_stored_after_all_is_only_wiped() -> None:
    """The process died between the store and the wiping."""
    world = World()
    alive = await left_behind(world)
    same = Secret("refresh token", "successor")
    await world.rewrite(refresh_token=same, generation=2, write_id="spooled")
    writes = len(world.grants.history)
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert len(world.grants.history) == writes
    assert not world.spooled()


async def test_another_record_of_the_same_generation_keeps_it_in_the_spool(
    logged: list[EventDict],
) -> None:
    """A new login came first. It alarms once, and goes when a later one is stored."""
    world = World()
    alive = await left_behind(world)
    other = Secret("refresh token", "login")
    await world.rewrite(refresh_token=other, generation=2, write_id="w")
    for _ in range(3):
        assert await alive.engine.beating.handing_in.hand_in() == 1
    assert world.refresh_token == "login"
    assert len(world.spooled()) == 1
    assert [line["event"] for line in logged].count("spooled_successor_outranked") == 1
    await world.rewrite(generation=3, write_id="w2")
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert not world.spooled()


@pytest.mark.parametrize("after", ["logout", "logout and login"])
async def test_after_a_logout_it_is_revoked_instead(after: str) -> None:
    """Nobody asked for it to live on."""
    world = World()
    alive = await left_behind(world)
    if after == "logout":
        await world.rewrite(state=ENDED, refresh_token=None, generation=2, write_id="w")
    else:
        await world.rewrite(line="line-2", generation=3, write_id="w")
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert world.issuer.revoked == ["successor"]
    assert not world.spooled()


async def test_a_restored_vault_that_knows_nothing_of_the_grant_gets_it_back() -> None:
    """A successor is dropped only when a later one is stored."""
    world = World()
    alive = await left_behind(world)
    world.grants._newest.clear()
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert world.refresh_token == "successor"


async def test_while_vault_is_away_nothing_is_wiped() -> None:
    """It is tried again with the next beat."""
    world = World()
    alive = await left_behind(world)
    world.grants.fail_next(AWAY, on="get")
    with pytest.raises(StoreUnavailable):
        await alive.engine.beating.handing_in.hand_in()
    for _ in range(4):
        world.grants.fail_next(AWAY, on="put")
    assert await alive.engine.beating.handing_in.hand_in() == 1
    assert len(world.spooled()) == 1
    world.grants.mend()
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert world.refresh_token == "successor"


async def test_what_this_process_still_works_on_is_left_alone() -> None:
    """Only what nobody owns is handed in."""
    world = World()
    alive = world.replica("alive")
    grant = await world.give_grant()
    await world.spools["alive"].keep(replace(grant, generation=2))
    assert await alive.engine.beating.handing_in.hand_in() == 0
    assert len(world.spooled()) == 1


async def test_the_first_beats_of_a_replica_hand_in_before_old_claims_are_judged() -> None:
    """After an outage a claim that looks left behind may have its successor in a spool."""
    world = World()
    world.custody = replace(world.custody, spools_first_seconds=60.0)
    alive = await left_behind(world)
    await world.rewrite(state=CLAIMED, claimed_by="dead", posts=1, write_id="c")
    world.clock.advance(world.claim_seconds + 1)
    fresh = world.replica("fresh")
    caller = fresh.start(fresh.engine.claiming.settled(world.grant.key, world.grant.line))
    await world.clock.pass_time(5)
    assert not caller.done()
    await alive.engine.beating.beat()
    await world.clock.pass_time(1)
    assert caller.result().grant.refresh_token == Secret("refresh token", "successor")
