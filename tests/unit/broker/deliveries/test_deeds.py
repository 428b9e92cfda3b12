"""The deeds of deliveries fit together, from a host that joins to a token in its hands."""

from __future__ import annotations

from credbroker.domain.attenuation import Wanted
from tests.unit.broker.delivery_world import LX, LX1, DeliveryWorld
from tests.unit.broker.world import ORIGIN


async def test_an_order_goes_the_whole_way() -> None:
    """At three replicas: one lets the host in, one takes the consent, one makes the lease."""
    around = DeliveryWorld()
    other, third = [around.world.replica(name) for name in ("replica-2", "replica-3")]
    await around.joined()
    token, _ = await around.deeds.hosting.by_assertion(around.assertion(), ORIGIN)
    await around.order(target=LX)
    host = await around.deeds_of(other).hosting.identify(token, ORIGIN)
    (delivery,) = await around.deeds_of(other).delivering.orders(host)
    lease_token, _ = await around.deeds_of(third).delivering.lease(host, delivery.id)
    caller = await around.replica.leasing.identify(lease_token, ORIGIN)
    minted = await around.replica.minting.mint_access_token(caller, Wanted())
    assert minted.token.scopes.texts() == list(delivery.ordered.scopes)
    assert [one["event"] for one in around.world.audit.lines if one.get("host") == LX1] == [
        "host_invited", "host_joined", "host_session", "host_session", "delivery_announced",
        "delivery_lease",
    ]  # fmt: skip
