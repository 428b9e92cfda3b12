"""What was told is kept for as long as it could be told again; choices stay."""

from __future__ import annotations

from datetime import timedelta

from credbroker.broker.notices import clearing
from credbroker.domain.errors import RecordDamaged
from credbroker.domain.grants import GrantState
from credbroker.ports import Stored
from tests.unit.broker.notices_world import NoticesWorld
from tests.unit.broker.world import SEGMENT


async def test_what_was_told_long_ago_is_removed_and_nothing_else() -> None:
    """A choice lies in the same folder, and is no record of what was told."""
    around = NoticesWorld()
    replica = around.world.replica()
    told = around.notices(replica)
    await around.person(replica)
    await around.is_now(told, GrantState.LOST)
    await around.rounds(told)
    clock, records = around.world.clock, around.told

    async def once() -> None:
        going = replica.deeds.begin(told.clearing.once(), "clear")
        await clock.pass_time(5)
        await going

    await once()
    assert await records.get(SEGMENT) is not None
    clock.advance(timedelta(seconds=clearing.KEPT_SECONDS).total_seconds())
    records.fail_next(RecordDamaged("Not of this kind."), on="get")
    await once()
    assert isinstance(await records.get(SEGMENT), Stored)
    await once()
    assert await records.get(SEGMENT) is None
