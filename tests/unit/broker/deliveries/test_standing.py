"""Standing orders are found by whom they are for, with few calls, and only while they stand."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.deliveries import ordering, standing
from credbroker.broker.leasing import Caller
from credbroker.domain.deliveries import Target
from credbroker.domain.errors import NotFound, RecordDamaged, StoreUnavailable
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind
from tests.fakes.store import Call
from tests.unit.broker.delivery_world import LX, LX1, LX2, DeliveryWorld
from tests.unit.broker.world import ISSUER, ORIGIN


async def test_orders_are_read_once_and_then_only_listed() -> None:
    """However often hosts ask."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    orders = [await around.order(caller, uid=uid) for uid in range(1, 6)]
    other = around.deeds_of(around.world.replica("replica-2"))
    assert await other.delivering.orders(host) == sorted(orders, key=lambda one: one.id)
    before = around.standing.reads, around.world.leases.reads
    for _ in range(9):
        assert len(await other.delivering.orders(host)) == 5
    assert (around.standing.reads, around.world.leases.reads) == before


async def test_a_host_sees_its_own_and_its_groups_and_nobody_elses() -> None:
    """Each once."""
    around = DeliveryWorld()
    caller = await around.person()
    first, second = await around.host(LX1), await around.host(LX2)
    own = await around.order(caller)
    shared = await around.order(caller, uid=2, target=LX)
    assert await around.deeds.delivering.orders(first) == [own, shared]
    assert await around.deeds.delivering.orders(second) == [shared]


async def test_however_many_orders_there_are_none_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store tells them a page at a time."""
    monkeypatch.setattr(standing, "PAGE", 2)
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    orders = [await around.order(caller, uid=uid) for uid in range(1, 6)]
    assert len(await around.deeds.delivering.orders(host)) == len(orders)
    assert len(await around.deeds.ordering.mine(caller)) == len(orders)


async def test_nothing_stands_that_its_person_does_not_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many have ended before, or came at once: whoever has a login must not hide one there."""
    monkeypatch.setattr(ordering, "MOST_OF_A_LOGIN", 5)
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    orders = [await around.order(caller, uid=uid) for uid in range(1, 6)]
    for one in orders:  # their leases end as the page of grants ends them, so the records stay
        lease = await around.replica.engine.leasing.known(one.lease_id)
        assert lease is not None
        await around.replica.engine.leasing.end(Caller(lease, ORIGIN))
    last = await around.order(caller, uid=9)
    assert await around.deeds.delivering.orders(host) == [last]
    assert await around.deeds.ordering.mine(caller) == [last]


async def test_one_damaged_record_hides_no_other() -> None:
    """It is only left out."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    orders = [await around.order(caller, uid=uid) for uid in range(1, 4)]
    other = around.deeds_of(around.world.replica("replica-2"))
    around.standing.fail_next(RecordDamaged("A record is damaged."), on="get")
    found = await other.delivering.orders(host)
    assert len(found) == 2
    assert set(found) < set(orders)


async def test_a_store_that_is_away_is_not_taken_for_no_orders() -> None:
    """A host would let go of files that are wanted."""
    around = DeliveryWorld()
    await around.order()
    host = await around.host()
    other = around.deeds_of(around.world.replica("replica-2"))
    calls: tuple[Call, ...] = ("segments", "get")
    for call in calls:
        around.standing.fail_next(
            StoreUnavailable("OpenBao/Vault does not answer."),
            on=call,
        )
        with pytest.raises(StoreUnavailable):
            await other.delivering.orders(host)


async def test_an_order_stands_no_longer_than_its_login() -> None:
    """By the login's end, or by a mark on its person."""
    around = DeliveryWorld()
    host, caller = await around.host(), await around.person()
    await around.order(caller)
    await around.replica.engine.containing.revoke(Kind.PERSON, f"{ISSUER}/ada")
    assert await around.deeds.delivering.orders(host) == []
    await around.replica.engine.containing.lift(Kind.PERSON, f"{ISSUER}/ada")
    await around.replica.engine.containing.read()
    assert len(await around.deeds.delivering.orders(host)) == 1
    await around.replica.leasing.end(caller)
    assert await around.deeds.delivering.orders(host) == []
    around.world.clock.advance(CLOCKS_OFF_SECONDS)


async def test_a_person_copy_is_not_taken_for_an_order_of_a_host() -> None:
    """The two places have ids of the same form; only one is the order's id."""
    around = DeliveryWorld()
    caller = await around.person()
    delivery = await around.order(caller)
    with pytest.raises(NotFound):
        await around.deeds.ordering.take_back(caller, delivery.person_segment())


async def test_two_who_end_an_order_at_once_both_have_ended_it() -> None:
    """Neither is told of the other."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    delivery = await around.order(caller)
    await asyncio.gather(
        around.deeds.ordering.take_back(caller, delivery.id),
        around.deeds.delivering.give_up(host, delivery.id),
    )
    assert not around.standing._newest
    assert Target(LX1) in host.targets
