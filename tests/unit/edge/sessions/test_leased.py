"""The tokens of orders, each under a lease that is asked for when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    LeaseEnded,
    NotFound,
)
from credbroker.domain.secret import Secret
from credbroker.edge.orders import Fresh, Order, Place
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.leased import Leased
from credbroker.edge.sessions.written import Written
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import deliveries
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import FakeDeliveries


class Tokens:
    """Gives a token to whoever shows a lease that lives. Follows `edge.orders.Asker`."""

    most_at_once = 256

    def __init__(self, broker: FakeDeliveries) -> None:
        self.broker = broker
        self.asked: list[list[str]] = []

    async def ask(self, orders: Sequence[Order]) -> list[Fresh | CredbrokerError]:
        """Answer each by its own lease."""
        self.asked.append([order.id for order in orders])
        return [self._one(order) for order in orders]

    def _one(self, order: Order) -> Fresh | CredbrokerError:
        if order.secret.reveal() not in self.broker.leases.values():
            return LeaseEnded("This lease was ended.")
        now = self.broker.clock.now()
        return Fresh(read_access_token(access_token(now, jti=order.id), now), 1800)


class World:
    """A host with a way to tokens."""

    def __init__(self, state: Path) -> None:
        self.clock = FakeClock()
        self.broker = FakeDeliveries(self.clock)
        self.tokens = Tokens(self.broker)
        self.written = Written(state, SystemEntropy())
        self.said: list[str] = []
        host = Host(self.broker.send, self.broker.send, self.clock, SystemEntropy(), lambda: None)
        self.leased = Leased(self.tokens, host, self.written, self.clock, self.say)

    def say(self, event: str, **fields: object) -> None:
        """Keep what the operator hears."""
        self.said.append(event)

    def orders(self, *uids: int) -> list[Order]:
        """Put a standing order there for each."""
        return [self._order(self.broker.order(uid)) for uid in uids]

    def _order(self, one: deliveries.DeliveryShown) -> Order:
        place = Place(Path(f"/run/user/{one.uid}/bt"), owner=(one.uid, one.uid))
        return Order(one.id, place, "broker", Secret("order", one.id))

    def leases_asked(self) -> int:
        """Return how many leases were asked for."""
        return self.broker.count("POST", deliveries.DELIVERY_LEASE)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nobody has asked for anything."""
    return World(tmp_path)


async def test_a_lease_is_asked_for_once_and_used_again(world: World) -> None:
    """Renewals are one request for all."""
    orders = world.orders(1, 2)
    for _ in range(3):
        answers = await world.leased.ask(orders)
        assert [one.token.jti for one in answers if isinstance(one, Fresh)] == [
            "order-1",
            "order-2",
        ]
    assert world.leases_asked() == 2
    assert len(world.tokens.asked) == 3


async def test_what_comes_is_noted_before_it_can_be_written(world: World, tmp_path: Path) -> None:
    """So a crash right after leaves no file that the agent does not know."""
    (answer,) = await world.leased.ask(world.orders(7))
    assert isinstance(answer, Fresh)
    content = answer.token.value.reveal().encode()
    assert Written(tmp_path, SystemEntropy()).owns(7, content)


async def test_a_lease_that_ended_is_replaced_within_the_same_ask(world: World) -> None:
    """As after another agent of this host asked for one; the others are not asked again."""
    orders = world.orders(1, 2)
    await world.leased.ask(orders)
    world.broker.leases["order-2"] = "replaced"
    answers = await world.leased.ask(orders)
    assert all(isinstance(one, Fresh) for one in answers)
    assert world.tokens.asked[1:] == [["order-1", "order-2"], ["order-2"]]
    world.clock.advance(28 * 86400)
    await world.leased.ask(orders[:1])
    assert world.leases_asked() == 4


async def test_an_order_that_is_gone_concerns_nobody_else(world: World) -> None:
    """Its error is its own."""
    orders = world.orders(1, 2, 3)
    del world.broker.standing["order-2"]
    answers = await world.leased.ask(orders)
    assert isinstance(answers[1], NotFound)
    assert isinstance(answers[0], Fresh)
    assert isinstance(answers[2], Fresh)
    assert world.tokens.asked == [["order-1", "order-3"]]


async def test_an_unreachable_broker_is_everybody_s_trouble(world: World) -> None:
    """The engine then tries for one order at a time."""
    orders = world.orders(1, 2)
    world.broker.away = BrokerUnreachable("Away.")
    with pytest.raises(BrokerUnreachable):
        await world.leased.ask(orders)
    assert world.tokens.asked == []


async def test_a_note_that_cannot_be_kept_costs_nobody_a_token(
    world: World, tmp_path: Path
) -> None:
    """The operator is told."""
    (tmp_path / "7.json").mkdir()
    (answer,) = await world.leased.ask(world.orders(7))
    assert isinstance(answer, Fresh)
    assert world.said == ["not noted"]
