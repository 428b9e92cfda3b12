"""One failing call, or a disk that hangs, keeps nobody waiting for ever."""

from __future__ import annotations

from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.rotation import Custody
from tests.fakes.clock import turns
from tests.unit.broker.custody.test_refreshing import one_refresh
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import World


async def test_one_failed_call_a_minute_keeps_no_left_claim_for_ever() -> None:
    """That is no outage after which spools come first."""
    world = World()
    world.custody = Custody()
    stall = Stall(world.clock)
    dead, b = world.replica("dead", stall=stall), world.replica("b")
    await world.give_grant()
    world.issuer.answer_seconds = 1
    dead.start(one_refresh(dead, seconds=6000))
    await turns()
    stall.stop()
    for _ in range(5):
        await world.clock.pass_time(40)
        world.rewind.fail_next(StoreUnavailable("429"))
        await b.engine.beating.beat()
    b.start(one_refresh(b, seconds=6000))
    for _ in range(30):  # half an hour, one failure among many calls each minute
        await world.clock.pass_time(55)
        world.rewind.fail_next(StoreUnavailable("429"))
        await b.engine.beating.beat()
    assert world.grant.state is not GrantState.CLAIMED


async def test_a_hung_spool_holds_up_no_successor_that_vault_took() -> None:
    """The disk of this host is not needed for what Vault has."""
    import asyncio

    world = World()
    a = world.replica()
    await world.give_grant()
    never = asyncio.Event()

    async def keep(_: Grant) -> str:
        await never.wait()
        raise AssertionError("it never comes back")

    world.spools["replica-1"].keep = keep  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    world.grants.put_seconds = 0.4
    caller = a.start(one_refresh(a, seconds=6000))
    await world.clock.pass_time(600)
    assert world.refresh_token == "refresh-1"
    assert caller.done(), "stored ten minutes ago, and nobody is told"
