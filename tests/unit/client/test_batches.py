"""Many tokens in one request: each is checked, and each entry's error is its own kind again."""

from __future__ import annotations

import pytest

from credbroker.client.batches import Batches
from credbroker.client.broker import Fetched
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    Busy,
    CredbrokerError,
    IssuerMisbehaved,
    LeaseEnded,
    TooManyRequests,
)
from credbroker.wire import native
from credbroker.wire.native import AskUnder
from tests.fakes.broker import FakeBroker
from tests.fakes.entropy import FakeEntropy
from tests.fakes.step_clock import StepClock
from tests.unit.things import seconds


class World:
    """A broker that answers batches, and its client."""

    def __init__(self) -> None:
        self.clock = StepClock()
        self.broker = FakeBroker(self.clock)
        self.harmless: list[bool] = []
        self.says: bytes | None = None
        self.batches = Batches(self.send, self.clock, FakeEntropy())

    async def send(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        """Follow `client.batches.Send`."""
        self.harmless.append(harmless_twice)
        answer = self.broker(request)
        return answer if self.says is None else Answer(200, answer.headers, self.says)

    async def ask(self, *entries: AskUnder) -> list[type]:
        """Return what kind of answer each entry got."""
        return [type(one) for one in await self.batches.ask(entries)]


async def test_each_entry_has_its_own_token_or_error() -> None:
    """In order; the request goes out as one that may be repeated, and shows no lease in a header."""
    world = World()
    one, ended = world.broker.new_lease(), world.broker.new_lease()
    world.broker.ended.add(ended.reveal())
    answered = await world.batches.ask(
        [AskUnder(ended), AskUnder(one, ["storage.read:/a"], ["https://se"])]
    )
    assert isinstance(answered[0], LeaseEnded)
    assert answered[0].request_id == "req-1"
    assert isinstance(answered[1], Fetched)
    assert answered[1].token.scopes.texts() == ["storage.read:/a"]
    assert world.harmless == [True]
    assert "Authorization" not in world.broker.requests[0].headers


async def test_a_token_that_does_not_serve_is_never_given_out() -> None:
    """It is the trouble of its entry alone."""
    world = World()
    lease = world.broker.new_lease()
    world.broker.claims = {"aud": "https://else"}
    found = await world.ask(AskUnder(lease, None, ["https://se"]), AskUnder(lease))
    assert found == [IssuerMisbehaved, Fetched]


async def test_a_token_that_another_entry_asked_for_reaches_nobody() -> None:
    """Answers that got into another order are the trouble of both, not a right too many."""
    world = World()
    wide = AskUnder(world.broker.new_lease(), ["storage.read:/"], ["https://se"])
    narrow = AskUnder(world.broker.new_lease(), ["storage.read:/a"], ["https://se"])
    assert await world.ask(wide, narrow) == [Fetched, Fetched]
    swapped = reversed(world.broker.given[-2:])
    entries = zip(swapped, [wide.lease_id, narrow.lease_id], strict=True)
    mixed = [native.TokenOrProblem(one, lease_id=lease_id) for one, lease_id in entries]
    world.says = native.TokensGiven(mixed).write()
    assert await world.ask(wide, narrow) == [IssuerMisbehaved, IssuerMisbehaved]


async def test_a_token_of_another_lease_reaches_nobody() -> None:
    """Two people may ask for the same: what is one's must not lie in the other's file."""
    world = World()
    hers, his = AskUnder(world.broker.new_lease()), AskUnder(world.broker.new_lease())
    assert await world.ask(hers, his) == [Fetched, Fetched]
    entries = zip(world.broker.given[-2:], [his.lease_id, hers.lease_id], strict=True)
    mixed = [native.TokenOrProblem(one, lease_id=lease_id) for one, lease_id in entries]
    world.says = native.TokensGiven(mixed).write()
    assert await world.ask(hers, his) == [IssuerMisbehaved, IssuerMisbehaved]


async def test_times_are_judged_by_the_brokers_clock() -> None:
    """A machine that is a day behind gets its tokens, and knows how long they live."""
    world = World()
    lease = world.broker.new_lease()
    late = StepClock(world.clock.now() - seconds(86400))
    batches = Batches(world.send, late, FakeEntropy())
    (fetched,) = await batches.ask([AskUnder(lease)])
    assert isinstance(fetched, Fetched)
    assert fetched.token.seconds_left(fetched.token.obtained_at) == 3600
    assert batches.now() == world.clock.now()


async def test_what_befalls_the_whole_request_is_raised() -> None:
    """A refusal of it, an answer of somebody else, another number of entries."""
    world = World()
    lease = world.broker.new_lease()
    world.broker.problems.append(TooManyRequests("Too many."))
    with pytest.raises(TooManyRequests):
        await world.ask(AskUnder(lease))
    for body in (b"<html>", native.TokensGiven([]).write()):
        world.says = body
        with pytest.raises(BrokerUnreachable):
            await world.ask(AskUnder(lease))
    world.says = b'{"entries": [{}]}'
    assert await world.ask(AskUnder(lease)) == [BrokerUnreachable]


async def test_an_error_that_only_a_newer_broker_knows_stays_an_error() -> None:
    """Of that entry."""
    world = World()
    problem = native.Problem("solar_flare", "The sun is out.", None, "r")
    world.says = native.TokensGiven([native.TokenOrProblem(problem=problem)]).write()
    (found,) = await world.batches.ask([AskUnder(world.broker.new_lease())])
    assert isinstance(found, CredbrokerError)
    assert not isinstance(found, Busy)
    assert found.sentence == "The sun is out."
