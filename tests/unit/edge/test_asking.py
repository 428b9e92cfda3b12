"""Orders become entries of a batch, and answers become tokens with a time to come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.client.batches import Batches
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import LeaseUnknown, TooManyRequests
from credbroker.edge.asking import ORDERS_IN_A_BATCH, BrokerAsker
from credbroker.edge.orders import Fresh
from credbroker.wire.native import MOST_IN_A_BATCH, AskTokens
from tests.fakes.broker import FakeBroker
from tests.fakes.edge import order
from tests.fakes.entropy import FakeEntropy
from tests.fakes.step_clock import StepClock


class World:
    """A broker and the way to it."""

    def __init__(self) -> None:
        self.clock = StepClock()
        self.broker = FakeBroker(self.clock)
        self.asker = BrokerAsker(Batches(self.send, self.clock, FakeEntropy()))

    async def send(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        """Follow `client.batches.Send`."""
        assert harmless_twice
        return self.broker(request)


async def test_each_order_is_asked_for_with_what_it_wants() -> None:
    """Under its own secret; what it leaves open is left open."""
    world = World()
    lease = world.broker.new_lease()
    narrow = order("a", scopes=("storage.read:/a",), audiences=("https://se",), minimum_seconds=60)
    answers = await world.asker.ask([replace(narrow, secret=lease), order("b")])
    first, second = AskTokens.read(world.broker.requests[0].body).entries
    assert (first.scopes, first.audiences) == (["storage.read:/a"], ["https://se"])
    assert (first.lease_token, first.minimum_seconds) == (lease, 60)
    assert (second.scopes, second.audiences, second.minimum_seconds) == (None, None, 0)
    assert (first.about, second.about) == (None, None)
    assert isinstance(answers[0], Fresh)
    assert answers[0].renew_seconds == 1800
    assert answers[0].token.scopes.texts() == ["storage.read:/a"]
    assert isinstance(answers[1], LeaseUnknown)


async def test_an_order_of_a_local_user_names_the_user() -> None:
    """The lease is the access point's own."""
    world = World()
    await world.asker.ask([replace(order("a"), about="alice")])
    [entry] = AskTokens.read(world.broker.requests[0].body).entries
    assert entry.about == "alice"


async def test_what_befalls_all_is_raised() -> None:
    """The engine tells a server's trouble from an order's by that."""
    world = World()
    world.broker.problems.append(TooManyRequests("Too many."))
    with pytest.raises(TooManyRequests):
        await world.asker.ask([order("a")])


def test_a_request_holds_no_more_than_the_broker_takes() -> None:
    """And its answer stays below what the client reads."""
    assert BrokerAsker.most_at_once == ORDERS_IN_A_BATCH <= MOST_IN_A_BATCH
