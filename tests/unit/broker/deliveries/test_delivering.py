"""A host gets one lease for each order that is for it, and no other thing."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.deliveries import delivering
from credbroker.broker.deliveries.hosting import KnownHost
from credbroker.broker.leasing import Caller
from credbroker.domain.attenuation import Wanted
from credbroker.domain.deliveries import host_lease_segment
from credbroker.domain.errors import (
    LeaseEnded,
    LoginNeeded,
    NotAllowed,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    TooManyRequests,
)
from credbroker.domain.leases import Lease
from credbroker.domain.revocations import Kind
from credbroker.domain.scopes import ScopeSet
from tests.unit.broker.delivery_world import DB1, LX, LX1, LX2, DeliveryWorld
from tests.unit.broker.world import DAY, GRANTED, ISSUER, ORIGIN

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


def living_leases_of(around: DeliveryWorld, host: KnownHost) -> list[str]:
    """Return the leases that this host could use, by what the store says."""
    found: list[Lease] = [one for one, _, _ in around.world.leases._newest.values()]
    return [one.id for one in found if one.host == host.name and one.ended_at is None]


async def test_the_lease_is_for_the_order_and_as_long_as_a_jobs() -> None:
    """Made for this host by name; a token by it is within what was consented to."""
    around = DeliveryWorld()
    delivery, host = await around.order(), await around.host()
    token, lease = await around.deeds.delivering.lease(host, delivery.id)
    assert (lease.host, lease.job) == (LX1, f"delivery {delivery.id} on {LX1}")
    assert (lease.ends_at - lease.created_at).total_seconds() == DAY
    assert lease.ancestors[-1] == delivery.lease_id
    caller = await around.replica.leasing.identify(token, ORIGIN)
    minted = await around.replica.minting.mint_access_token(caller, Wanted())
    assert minted.token.scopes.texts() == ["storage.read:/"]
    with pytest.raises(OutsideCeiling):
        await around.replica.minting.mint_access_token(caller, Wanted(GRANTED.rights()))
    line = around.world.audit.last("delivery_lease")
    assert (line["host"], line["child"], line["uid"]) == (LX1, lease.id, 1000)


async def test_a_host_that_looks_too_often_is_sent_away() -> None:
    """Anybody on it can have it look, and each look is a listing at the store; others are not held up."""
    around = DeliveryWorld()
    host, other = await around.host(), await around.host(LX2)
    looks = [
        asyncio.ensure_future(around.deeds.delivering.orders(host))
        for _ in range(delivering.LOOKS.burst + 20)
    ]
    assert await around.deeds.delivering.orders(other) == []
    while not all(one.done() for one in looks):
        await around.world.clock.pass_time(1.0)
    outcomes = await asyncio.gather(*looks, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, TooManyRequests)]
    assert len(refused) >= 10
    assert outcomes.count([]) == len(outcomes) - len(refused) >= delivering.LOOKS.burst


async def test_a_host_has_one_lease_for_an_order_however_it_asks() -> None:
    """One after the other, and several times at once: the last one counts."""
    around = DeliveryWorld()
    delivery, host = await around.order(target=LX), await around.host()
    _, first = await around.deeds.delivering.lease(host, delivery.id)
    _, second = await around.deeds.delivering.lease(host, delivery.id)
    assert living_leases_of(around, host) == [second.id]
    assert first.id != second.id
    asked = (around.deeds.delivering.lease(host, delivery.id) for _ in range(3))
    given = [lease.id for _, lease in await asyncio.gather(*asked)]
    (left,) = living_leases_of(around, host)
    assert left in given
    stored = await around.held.get(host_lease_segment(delivery.id, LX1))
    assert stored is not None
    assert stored.value.lease_id == left
    other = await around.host(LX2)
    await around.deeds.delivering.lease(other, delivery.id)
    assert living_leases_of(around, host) == [left]


async def test_a_host_that_asks_on_and_on_must_wait() -> None:
    """Each of its leases is written to the store; other orders of its go on."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    first, second = [await around.order(caller, uid=uid) for uid in (1, 2)]
    for _ in range(delivering.PACE.burst):
        await around.deeds.delivering.lease(host, first.id)
    with pytest.raises(TooManyRequests):
        await around.deeds.delivering.lease(host, first.id)
    await around.deeds.delivering.lease(host, second.id)


async def test_what_is_not_for_a_host_is_not_there_for_it() -> None:
    """Neither its lease nor its end, whoever asks by whatever id."""
    around = DeliveryWorld()
    caller = await around.person()
    own = await around.order(caller)
    shared = await around.order(caller, uid=2, target=LX)
    deeds = around.deeds.delivering
    for host, order in (
        (await around.host(LX2), own.id), (await around.host(DB1), own.id),
        (await around.host(DB1), shared.id), (await around.host(LX1), "x" * 22),
        (await around.host(LX1), own.person_segment()),
    ):  # fmt: skip
        for deed in (deeds.lease, deeds.give_up):
            with pytest.raises(NotFound):
                await deed(host, order)
    assert len(await around.deeds.ordering.mine(caller)) == 2


async def test_a_host_ends_its_own_orders_and_not_the_groups() -> None:
    """One hostile host of a group takes nothing from the others."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    own = await around.order(caller)
    shared = await around.order(caller, uid=2, target=LX)
    await around.deeds.delivering.give_up(host, own.id)
    with pytest.raises(NotAllowed, match="by its person"):
        await around.deeds.delivering.give_up(host, shared.id)
    assert await around.deeds.ordering.mine(caller) == [shared]


async def test_an_order_of_who_logged_out_is_ended_by_whoever_comes_upon_it() -> None:
    """The lease that it lived by may be another login's, which goes on."""
    around = DeliveryWorld()
    delivery, host = await around.order(), await around.host()
    other = (await around.world.give_lease(around.replica))[1]
    await around.replica.ending.log_out(other)
    with pytest.raises((LeaseEnded, LoginNeeded)):
        await around.deeds.delivering.lease(host, delivery.id)
    assert await around.deeds.delivering.orders(host) == []
    assert not around.standing._newest


async def test_a_contained_person_or_host_gets_no_lease() -> None:
    """By the store's word, also at a replica that has not read the mark yet."""
    around = DeliveryWorld()
    delivery, host = await around.order(), await around.host()
    _, lease = await around.deeds.delivering.lease(host, delivery.id)
    await around.replica.engine.containing.revoke(Kind.HOST, LX1)
    with pytest.raises(LeaseEnded):
        around.replica.engine.containing.judge(lease)
    other = around.world.replica("replica-2")
    await around.replica.engine.containing.revoke(Kind.PERSON, f"{ISSUER}/ada")
    other.engine.containing._read_at = float("-inf")
    with pytest.raises(LeaseEnded):
        await around.deeds_of(other).delivering.lease(host, delivery.id)


async def test_without_the_store_no_lease_is_made_and_none_is_lost_for_long() -> None:
    """Whatever fails, asking again makes one that is the host's only one."""
    around = DeliveryWorld()
    delivery, host = await around.order(), await around.host()
    await around.deeds.delivering.lease(host, delivery.id)
    around.world.leases.fail_next(AWAY, on="put")
    with pytest.raises(StoreUnavailable):
        await around.deeds.delivering.lease(host, delivery.id)
    around.world.leases.mend()
    token, lease = await around.deeds.delivering.lease(host, delivery.id)
    assert living_leases_of(around, host) == [lease.id]
    found: Caller = await around.replica.leasing.identify(token, ORIGIN)
    assert found.lease.ceiling.scopes == ScopeSet.of(["storage.read:/"])
