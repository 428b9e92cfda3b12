"""Orders are announced within limits, and stand by one person's consent; nothing is left half done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from credbroker.broker.deliveries import ordering
from credbroker.domain.deliveries import MOST_OF_A_LOGIN, Target
from credbroker.domain.errors import (
    Malformed,
    NotAllowed,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    TooManyRequests,
)
from credbroker.domain.leases import Lease
from tests.unit.broker.delivery_world import DB1, LX, LX1, LX2, DeliveryWorld, shown
from tests.unit.broker.world import DAY

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


def job_leases(around: DeliveryWorld) -> list[Lease]:
    """Return the leases of orders that are alive in the store."""
    found = [one for one, _, _ in around.world.leases._newest.values()]
    return [one for one in found if one.job is not None and one.ended_at is None]


async def test_consent_makes_an_order_that_lives_by_a_lease_of_its_own() -> None:
    """As long as the login's lasts, longer than a job's may; and for what was consented to alone."""
    around = DeliveryWorld()
    caller = await around.person()
    delivery = await around.order(caller)
    lease = around.world.leases.newest(delivery.lease_id)
    assert (lease.ends_at, lease.ancestors) == (caller.lease.ends_at, (caller.lease.id,))
    assert (lease.ends_at - lease.created_at).total_seconds() > DAY
    assert lease.ceiling.scopes is not None
    assert lease.ceiling.scopes.texts() == ["storage.read:/"]
    assert await around.deeds.ordering.mine(caller) == [delivery]
    line = around.world.audit.last("delivery_consented")
    assert (line["delivery"], line["uid"], line["target"]) == (delivery.id, 1000, f"host {LX1}")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"target": Target(LX2)}, NotAllowed),
        ({"target": Target("lx1.example.org", is_group=True)}, NotAllowed),
        ({"target": Target("others", is_group=True)}, NotAllowed),
        ({"issuer": "nobody"}, NotFound),
        ({"role": "other"}, NotFound),
        ({"scopes": ()}, Malformed),
        ({"name": "../x"}, Malformed),
    ],
)
async def test_what_a_host_may_not_announce_is_not_stored(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    """Above all nothing for another host, or a group that it is not of."""
    around = DeliveryWorld()
    with pytest.raises(error):
        await around.announced(**changes)
    assert not around.waiting.history


async def test_a_group_is_ordered_for_by_its_own_hosts() -> None:
    """Each of them may announce, and nobody else."""
    around = DeliveryWorld()
    await around.announced(target=LX)
    with pytest.raises(NotAllowed):
        await around.announced(await around.host(DB1), target=LX)


async def test_one_person_cannot_announce_for_all_the_others() -> None:
    """A uid has its own limit, and a host one for all of its people."""
    around = DeliveryWorld()
    host = await around.host()
    for _ in range(ordering.UID_PACE.burst):
        await around.announced(host)
    with pytest.raises(TooManyRequests):
        await around.announced(host)
    for uid in range(2000, 2000 + ordering.HOST_PACE.burst - ordering.UID_PACE.burst):
        await around.announced(host, uid=uid)
    with pytest.raises(TooManyRequests):
        await around.announced(host, uid=3000)
    assert len(around.waiting.history) == ordering.HOST_PACE.burst
    await around.announced(await around.host(LX2))


async def test_a_login_carries_so_many_orders_and_no_more() -> None:
    """Until one of them is ended."""
    around = DeliveryWorld()
    caller, host = await around.person(), await around.host()
    for uid in range(1, MOST_OF_A_LOGIN + 1):
        around.world.clock.advance(10)
        last = await around.order(caller, host=host, uid=uid)
    around.world.clock.advance(60)
    with pytest.raises(NotAllowed, match="may stand on one login"):
        await around.order(caller, host=host, uid=MOST_OF_A_LOGIN + 1)
    await around.deeds.ordering.take_back(caller, last.id)
    await around.order(caller, host=host, uid=MOST_OF_A_LOGIN + 1)


async def test_two_consents_at_once_make_one_order_with_one_lease() -> None:
    """Of the same person: both are told of the same one."""
    around = DeliveryWorld()
    caller = await around.person()
    waits, code = await around.announced()
    asked = (around.deeds.ordering.consent(caller, waits.id, shown(waits, code)) for _ in range(3))
    assert len({one.lease_id for one in await asyncio.gather(*asked)}) == 1
    assert len(job_leases(around)) == 1


@pytest.mark.parametrize("at", range(4))
async def test_a_consent_that_breaks_off_is_made_good_by_the_next(at: int) -> None:
    """Whichever write fails, the same consent again makes the order, and its person sees it."""
    around = DeliveryWorld()
    caller = await around.person()
    waits, code = await around.announced()
    records: Any = [around.world.leases, around.standing, around.standing, around.waiting][at]
    for one in range(2 if at == 2 else 1):
        if at != 2 or one == 1:
            records.fail_next(AWAY, on="remove" if at == 3 else "put")
        elif at == 2:
            _let_one_put_pass(records)
    try:
        await around.deeds.ordering.consent(caller, waits.id, shown(waits, code))
    except StoreUnavailable:
        around.standing.mend()
        await around.deeds.ordering.consent(caller, waits.id, shown(waits, code))
    (delivery,) = await around.deeds.ordering.mine(caller)
    assert delivery.id == waits.id
    assert around.standing.newest(waits.id) == delivery


def _let_one_put_pass(records: Any) -> None:
    """Let the next write through, and fail the one after it."""
    put = records.put

    async def pass_once(segment: str, value: Any, expected_version: int) -> int:
        records.put = put
        return int(await put(segment, value, expected_version))

    records.put = pass_once


async def test_what_a_login_does_not_give_leaves_nothing_behind() -> None:
    """No order and no lease."""
    around = DeliveryWorld()
    with pytest.raises(OutsideCeiling):
        await around.order(scopes=("storage.modify:/",))
    assert not around.standing.history
    assert not job_leases(around)


async def test_another_login_of_the_same_name_has_other_orders() -> None:
    """After a logout a credkey may come to name somebody else."""
    around = DeliveryWorld()
    caller = await around.person()
    delivery = await around.order(caller)
    later = replace(caller, lease=replace(caller.lease, id="later", line="line-2"))
    assert await around.deeds.ordering.mine(later) == []
    with pytest.raises(NotFound):
        await around.deeds.ordering.take_back(later, delivery.id)
    assert await around.deeds.ordering.mine(caller) == [delivery]


async def test_an_order_that_is_taken_back_is_gone_with_its_lease() -> None:
    """From both of its places, and from the person's list."""
    around = DeliveryWorld()
    caller = await around.person()
    delivery = await around.order(caller)
    await around.deeds.ordering.take_back(caller, delivery.id)
    assert await around.deeds.ordering.mine(caller) == []
    assert not around.standing._newest
    assert not job_leases(around)
    assert around.world.audit.last("delivery_ended")["delivery"] == delivery.id
    with pytest.raises(NotFound):
        await around.deeds.ordering.take_back(caller, delivery.id)
