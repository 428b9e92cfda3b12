"""A host at the broker: it shows who it is once, and again when that is over."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from credbroker.domain.errors import (
    LeaseEnded,
    LeaseUnknown,
    Malformed,
    NotAllowed,
    StoreUnavailable,
)
from credbroker.domain.secret import Secret
from credbroker.edge.sessions.host import Host
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import deliveries
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import HOST, FakeDeliveries

WANTED = deliveries.AnnounceDelivery(
    1000, "ada", "cms", "default", ["storage.read:/"], ["https://d"]
)


@pytest.fixture
def clock() -> FakeClock:
    """Noon."""
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> FakeDeliveries:
    """A broker that nobody has asked yet."""
    return FakeDeliveries(clock)


def host_at(broker: FakeDeliveries, clock: FakeClock) -> Host:
    """Return a host that signs assertions."""
    return Host(
        broker.send, broker.send, clock, SystemEntropy(), lambda: Secret("host assertion", "a.b.c")
    )


async def test_one_session_serves_many_requests(broker: FakeDeliveries, clock: FakeClock) -> None:
    """Also where the first ones come at the same time."""
    broker.order(1000)
    host = host_at(broker, clock)
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(host.standing())
    lease = await host.lease("order-1")
    assert lease.lease_token.reveal() == broker.leases["order-1"]
    assert await host.name() == HOST
    assert len(broker.assertions) == 1


async def test_a_session_is_renewed_before_it_ends(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """By a new assertion."""
    host = host_at(broker, clock)
    await host.standing()
    clock.advance(3500)
    await host.standing()
    clock.advance(60)
    await host.standing()
    assert len(broker.assertions) == 2


async def test_a_clock_that_is_hours_ahead_opens_no_session_each_time(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """How long a session has lasted, the host measures by itself."""
    ahead = FakeClock(clock.now() + datetime.timedelta(hours=5))
    host = host_at(broker, ahead)
    for _ in range(3):
        await host.standing()
        ahead.advance(60)
    assert len(broker.assertions) == 1


async def test_a_host_token_that_is_not_known_any_more_is_replaced_once(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """As after a restored store; a broker that knows none at all is not asked for ever."""
    host = host_at(broker, clock)
    await host.standing()
    broker.sessions.clear()
    clock.advance(60)
    assert await host.standing() == []
    assert len(broker.assertions) == 2
    clock.advance(60)
    broker.problems.extend([LeaseUnknown("No."), None, LeaseUnknown("No.")])
    with pytest.raises(LeaseUnknown):
        await host.standing()
    assert len(broker.assertions) == 3


async def test_an_order_whose_login_is_over_opens_no_session_each_time(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """The same error speaks of the host's token or of the order; a young token is not doubted."""
    host = host_at(broker, clock)
    await host.standing()
    for _ in range(3):
        broker.problems.append(LeaseEnded("The login is over."))
        with pytest.raises(LeaseEnded):
            await host.lease("order-1")
    assert len(broker.assertions) == 1


async def test_refusals_come_through(broker: FakeDeliveries, clock: FakeClock) -> None:
    """As the broker says them."""
    host = host_at(broker, clock)
    broker.problems.append(NotAllowed("This host is contained."))
    with pytest.raises(NotAllowed, match="contained"):
        await host.standing()
    broker.problems.extend([None, StoreUnavailable("Vault is sealed.")])
    with pytest.raises(StoreUnavailable):
        await host.announce(WANTED)


async def test_an_order_is_announced_leased_and_ended(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """The consent code is a secret."""
    host = host_at(broker, clock)
    announced = await host.announce(WANTED)
    assert broker.announced[announced.id][1] == WANTED
    assert "cc_" not in repr(announced)
    order = broker.order(1000)
    await host.lease(order.id)
    await host.end(order.id)
    assert (broker.standing, broker.leases) == ({}, {})


@pytest.mark.parametrize("named", ["", "a/b", "..", "../leases/self", "a b", "x" * 65])
async def test_what_can_be_no_id_leads_nowhere(
    broker: FakeDeliveries, clock: FakeClock, named: str
) -> None:
    """It would be part of an address."""
    with pytest.raises(Malformed):
        await host_at(broker, clock).end(named)
    assert broker.requests == []


async def test_a_join_token_is_traded_for_the_key_s_right(
    broker: FakeDeliveries, clock: FakeClock
) -> None:
    """Once; for the same key again, as after an answer that got lost."""
    host = host_at(broker, clock)
    token = Secret("join token", "cj_good")
    assert await host.join(token, "PEM") == HOST
    assert broker.keys == ["PEM"]
    assert await host.join(token, "PEM") == HOST
    with pytest.raises(NotAllowed):
        await host.join(token, "another PEM")
