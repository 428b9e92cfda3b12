"""Records of refresh tokens go a day after their end, ended early or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from credbroker.broker.issuing.clearing import KEPT_SECONDS, IssuedClearing
from credbroker.broker.keeper.clearing import PAUSE_SECONDS
from credbroker.domain.issued_refresh import RefreshText
from tests.unit.broker.issuing.granting_world import FTS, GrantingWorld, asked
from tests.unit.broker.world import World

if TYPE_CHECKING:
    from credbroker.domain.secret import Secret


async def test_a_record_goes_a_day_after_it_would_have_run_out() -> None:
    """Also one that was ended: until then its exchange could be repeated."""
    world = GrantingWorld()
    replica = await world.replica()
    texts: list[Secret] = []
    for scope in ("storage.read:/data/a", "storage.read:/data/b"):
        subject = await world.subject(replica)
        given = await replica.granting.exchange(
            world.caller(FTS), asked(scope), subject, refresh=True
        )
        assert given.refresh_token is not None
        texts.append(given.refresh_token)
    await replica.revoking.revoke(world.caller(FTS), texts[0])
    for later, left in ((0.0, 2), (7 * 86400.0, 2), (KEPT_SECONDS + 1, 0)):
        world.clock.advance(later)
        await go_round(world)
        assert len(await world.issued.segments()) == left
    assert RefreshText.parse(texts[0].reveal()) is not None


async def go_round(world: GrantingWorld) -> None:
    """Clear once, as the only replica."""
    replicas = World().replica().engine.replicas
    clearing = IssuedClearing(world.issued, replicas, world.means)
    task = asyncio.ensure_future(clearing.once())
    while not task.done():
        await world.clock.pass_time(PAUSE_SECONDS)
    await task
