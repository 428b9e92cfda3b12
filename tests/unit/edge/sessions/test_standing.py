"""What stands is asked for now and then, and at once when somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from credbroker.domain.errors import BrokerUnreachable
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import SessionOrders
from credbroker.edge.sessions.standing import Standing
from credbroker.edge.sessions.written import Written
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.deliveries import DELIVERIES
from tests.fakes.clock import FakeClock, turns
from tests.fakes.deliveries import FakeDeliveries
from tests.fakes.entropy import FakeEntropy


class World:
    """A host that looks every minute."""

    def __init__(self, state: Path) -> None:
        self.clock = FakeClock()
        self.broker = FakeDeliveries(self.clock)
        self.said: list[str] = []
        host = Host(self.broker.send, self.broker.send, self.clock, SystemEntropy(), lambda: None)
        self.orders = SessionOrders(Written(state, SystemEntropy()), self.clock, self.say)
        self.standing = Standing(host, self.orders, self.clock, FakeEntropy(0.5), self.say)

    def say(self, event: str, **fields: object) -> None:
        """Keep what the operator hears."""
        self.said.append(event)

    def looks(self) -> int:
        """Return how often it was asked."""
        return self.broker.count("GET", DELIVERIES)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look while the block lasts."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.standing.run(60))
            await turns()
            yield
            task.cancel()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing was asked for yet."""
    return World(tmp_path)


async def test_it_is_looked_at_each_minute_or_sooner(world: World) -> None:
    """Spread, so that hosts that were started together do not come together."""
    async with world.running():
        assert world.looks() == 1
        world.broker.order(7)
        await world.clock.pass_time(45)
        assert world.looks() == 1
        await world.clock.pass_time(2)
        assert world.looks() == 2
        assert [one.uid for one, _ in world.orders.of(7)] == [7]


async def test_who_says_that_something_changed_is_heard_but_not_too_often(world: World) -> None:
    """A person who says it a thousand times a second costs one request a second."""
    async with world.running():
        for _ in range(1000):
            world.standing.look()
        await world.clock.pass_time(0.9)
        assert world.looks() == 1
        await world.clock.pass_time(0.2)
        assert world.looks() == 2
        await world.clock.pass_time(30)
        assert world.looks() == 2


async def test_what_was_known_goes_on_while_the_broker_is_away(world: World) -> None:
    """For as long as it takes."""
    world.broker.order(7)
    async with world.running():
        world.broker.away = BrokerUnreachable("Away.")
        world.broker.standing.clear()
        await world.clock.pass_time(3600)
        assert len(list(world.orders.of(7))) == 1
        assert set(world.said) == {"orders not known"}
        world.broker.away = None
        await world.clock.pass_time(60)
        assert list(world.orders.of(7)) == []
