"""What is over of deliveries is deleted after an hour, and what is not stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sized

from credbroker.broker.deliveries.clearing import KEPT_SECONDS
from credbroker.broker.keeper.clearing import PAUSE_SECONDS, ROUND_SECONDS
from credbroker.domain.errors import StoreUnavailable
from tests.unit.broker.delivery_world import LX1, DeliveryWorld


def there(around: DeliveryWorld) -> dict[str, int]:
    """Count what is stored, by folder."""
    folders: dict[str, Sized] = {
        "hosts": around.hosts._newest, "sessions": around.sessions._kept,
        "waiting": around.waiting._newest, "standing": around.standing._newest,
    }  # fmt: skip
    return {name: len(one) for name, one in folders.items()}


async def go_round(around: DeliveryWorld) -> None:
    """Clear once."""
    task = asyncio.ensure_future(around.deeds.clearing.once())
    while not task.done():
        await around.world.clock.pass_time(PAUSE_SECONDS)
    await task


async def test_each_kind_goes_an_hour_after_its_end() -> None:
    """Announced ones after ten minutes, sessions after one hour, leases and orders at their ends."""
    around = DeliveryWorld()
    await around.joined()
    host = await around.host()
    await around.announced(host)
    delivery = await around.order(uid=2)
    await around.deeds.delivering.lease(host, delivery.id)
    whole = {"hosts": 1, "sessions": 3, "waiting": 1, "standing": 2}
    for later, left in (
        (600.0, whole),
        (KEPT_SECONDS, whole | {"waiting": 0}),
        (KEPT_SECONDS, whole | {"waiting": 0, "sessions": 1}),
        (86400.0, whole | {"waiting": 0, "sessions": 0}),
        (7 * 86400.0, {"hosts": 1, "sessions": 0, "waiting": 0, "standing": 0}),
    ):
        around.world.clock.advance(later)
        await go_round(around)
        assert there(around) == left


async def test_what_is_written_anew_is_kept_anew() -> None:
    """A host's lease for an order has one place, whose age is that of the last one."""
    around = DeliveryWorld()
    host = await around.host()
    delivery = await around.order()
    await around.deeds.delivering.lease(host, delivery.id)
    around.world.clock.advance(86000.0)
    await around.deeds.delivering.lease(await around.host(), delivery.id)
    around.world.clock.advance(8000.0)
    await go_round(around)
    assert there(around)["sessions"] == 1


async def test_a_store_that_is_away_stops_no_later_round() -> None:
    """It goes on an hour later."""
    around = DeliveryWorld()
    await around.announced(await around.host(LX1))
    task = asyncio.ensure_future(around.deeds.clearing.run())
    around.waiting.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    await around.world.clock.pass_time(ROUND_SECONDS + 1)
    assert there(around)["waiting"] == 1
    await around.world.clock.pass_time(2 * ROUND_SECONDS)
    assert there(around)["waiting"] == 0
    task.cancel()
