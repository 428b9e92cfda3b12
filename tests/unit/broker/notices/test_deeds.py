"""What tells in time is wired to what the broker knows."""

from __future__ import annotations

from credbroker.broker.notices.deeds import (
    AWAY_SECONDS,
    NoticeBounds,
    NoticeStores,
    assemble,
    issuer_troubles,
)
from credbroker.domain.errors import IssuerUnreachable
from credbroker.domain.notices import Cause, NoticeRules
from tests.unit.broker.notices_world import PUBLIC_URL, NoticesWorld, means_of
from tests.unit.broker.world import DAY, ISSUER


async def test_without_a_way_to_tell_nothing_runs_and_nothing_is_collected() -> None:
    """The choices can be made all the same."""
    around = NoticesWorld()
    replica = around.world.replica()
    none = assemble(
        replica.engine,
        NoticeStores(around.world.grants, around.told, around.choices),
        {},
        means_of(around.world, replica),
        bounds=NoticeBounds(PUBLIC_URL, NoticeRules(DAY), 1),
        orders_with=around._orders_with,
    )
    assert (none.lasting, replica.engine.keeping.listeners) == ({}, [])
    assert not none.choosing.offers_mail
    assert set(around.notices(replica).lasting) == {"telling", "clearing notices"}


async def test_an_issuer_that_falls_silent_is_told_of_after_ten_minutes() -> None:
    """From the first moment on it is in trouble, so that its people are left in peace."""
    world = NoticesWorld().world
    replica = world.replica()
    means = means_of(world, replica)
    assert issuer_troubles(replica.engine, means) == {}
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    for name in ("ada", "bob", "carol", "dora"):
        await world.give_grant_to(name, f"of {name}")
        await world.fails_for(replica, name)
    assert issuer_troubles(replica.engine, means) == {ISSUER: []}
    world.clock.advance(AWAY_SECONDS)
    assert issuer_troubles(replica.engine, means) == {ISSUER: [Cause.ISSUER_AWAY]}
