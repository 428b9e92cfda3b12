"""What is wired together hears of each other."""

from __future__ import annotations

from tests.unit.broker.custody.test_refreshing import one_refresh
from tests.unit.broker.world import ISSUER, SEGMENT, WANT_READ, World


async def test_whoever_stores_a_grant_is_heard_by_the_keeper_and_by_the_host() -> None:
    """The one looks after it, the other remembers how far it had come."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await one_refresh(replica)
    assert replica.engine.keeping.census() == {(ISSUER, "ready"): 1}
    await replica.engine.beating.beat()
    assert world.host_marks.generation(SEGMENT) > 0


async def test_the_heartbeat_tells_what_the_issuer_said_and_how_long_tokens_last() -> None:
    """So that all replicas count together."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await one_refresh(replica)
    _, caller = await world.give_lease(replica)
    minted = await replica.minting.mint_access_token(caller, WANT_READ)
    await replica.engine.beating.beat()
    count = world.heartbeats.history[-1].counts[ISSUER]
    assert (count.refreshes, count.dead) == (1, 0)
    assert count.horizon == minted.token.expires_at
