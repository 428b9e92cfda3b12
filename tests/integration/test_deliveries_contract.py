"""What hosts and people rely on of deliveries, by the agent's own client: at a broker, and at the fake.

What is tested elsewhere against `tests.fakes.deliveries` holds at a broker because of this.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from joserfc.jwk import ECKey

from credbroker.client.broker import delivery_target, read_answer
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.secret import Secret
from credbroker.edge.sessions.host import Host
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import deliveries
from credbroker.wire.deliveries import AnnounceDelivery, ConsentDelivery, DeliveryAnnounced
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import GROUP, FakeDeliveries
from tests.integration.test_deliveries import NARROW, Machine, group_of, join_token, settings_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.integration.broker_world import Replica
    from tests.integration.conftest import WorldFactory


class Side(Protocol):
    """A broker, or what stands for it: one host that has not joined, and one person with a login."""

    issuer: str
    group: str
    host: Host

    async def join_token(self) -> Secret:
        """Return a token to join with."""

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Ask as the person."""

    async def works(self, lease: Secret) -> bool:
        """True if a token can be had by this lease."""


class FakeSide:
    """The fake."""

    issuer, group = "cms", GROUP

    def __init__(self) -> None:
        clock = FakeClock()
        self._broker = FakeDeliveries(clock)
        send = self._broker.send
        self.host = Host(send, send, clock, SystemEntropy(), lambda: None)

    async def join_token(self) -> Secret:
        """Return the only one there is."""
        return Secret("join token", self._broker.join_token)

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Whoever is no host is the person."""
        return self._broker(Request(method, target, {}, body))

    async def works(self, lease: Secret) -> bool:
        """As the fake broker of tokens sees it."""
        return lease.reveal() in self._broker.leases.values()


class RealSide:
    """A whole broker over a real OpenBao."""

    def __init__(self, broker: Replica, login: str) -> None:
        self._broker, self._login = broker, login
        self._machine = Machine(broker, "lx1")
        self.issuer, self.group = broker.world.issuer_name, group_of(broker.world)
        self.host = Host(
            self._send, self._send, broker.world.clock, SystemEntropy(), self._assertion
        )

    async def join_token(self) -> Secret:
        """Have the operator make one."""
        return Secret("join token", await join_token(self._broker.world, "lx1"))

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Ask with the lease of alice's login."""
        shown = {"Authorization": f"Bearer {self._login}"}
        return await self._send(Request(method, target, shown, body))

    async def works(self, lease: Secret) -> bool:
        """By asking for a token."""
        return (await self._broker.token(lease.reveal(), NARROW)).status == 200

    def key(self) -> str:
        """Return the public half of the key that assertions are signed with."""
        return str(self._machine.key.as_pem(private=False).decode())

    def _assertion(self) -> Secret:
        return Secret("host assertion", self._machine.assertion())

    async def _send(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        answer = await self._broker.ask(
            request.method, request.target, body=request.body or None, headers=request.headers
        )
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, headers, answer.body)


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, open_world: WorldFactory) -> Side:
    """One of the two, with its host joined."""
    if request.param == "fake":
        return FakeSide()
    world = await open_world()
    broker = await world.replica(more=settings_of(world))
    real = RealSide(broker, await broker.log_in())
    await real.host.join(await real.join_token(), real.key())
    return real


def order(side: Side, **changes: Any) -> AnnounceDelivery:
    """Return what alice orders."""
    fields: dict[str, Any] = {
        "uid": 1000, "user": "alice", "issuer": side.issuer, "role": "default",
        "scopes": [NARROW], "audiences": ["https://se"],
    }  # fmt: skip
    return AnnounceDelivery(**fields | changes)


async def consent(
    side: Side, waits: DeliveryAnnounced, wanted: AnnounceDelivery, **lies: Any
) -> deliveries.DeliveryShown:
    """Consent to an order as it is, but for the lies."""
    just_so = ConsentDelivery(
        consent_code=waits.consent_code,
        uid=wanted.uid,
        user=wanted.user,
        scopes=wanted.scopes,
        audiences=wanted.audiences,
        name=wanted.name,
        replaces_foreign=wanted.replaces_foreign,
        group=wanted.group,
        host=None if wanted.group else await side.host.name(),
    )
    body = dataclasses.replace(just_so, **lies).write()
    answer = await side.ask("POST", delivery_target(deliveries.CONSENT, waits.id), body)
    return read_answer(answer, deliveries.DeliveryShown.read)


async def ordered(side: Side, **changes: Any) -> str:
    """Have an order stand; return its id."""
    wanted = order(side, **changes)
    return (await consent(side, await side.host.announce(wanted), wanted)).id


async def ended(side: Side, named: str) -> None:
    """Take an order back, as the person."""
    answer = await side.ask("DELETE", delivery_target(deliveries.DELIVERY, named))
    read_answer(answer, lambda _: None)


async def refusal(asking: Awaitable[object]) -> str:
    """Return the word by which a program knows why not."""
    with pytest.raises(CredbrokerError) as caught:
        await asking
    return caught.value.code


async def test_a_join_token_is_good_for_one_key(side: Side) -> None:
    """The same trade again is a success: an answer may have been lost."""
    token = await side.join_token()
    mine, other = (ECKey.generate_key("P-256").as_pem(private=False).decode() for _ in range(2))
    name = await side.host.join(token, mine)
    assert await side.host.join(token, mine) == name
    assert await refusal(side.host.join(token, other)) == "not_allowed"


async def test_an_order_stands_once_it_was_consented_to(side: Side) -> None:
    """For its host and its person alike; the same consent again changes nothing."""
    wanted = order(side, name="dav", replaces_foreign=True)
    waits = await side.host.announce(wanted)
    assert await side.host.standing() == []
    shown = await consent(side, waits, wanted)
    assert await consent(side, waits, wanted) == shown
    assert await side.host.standing() == [shown]
    mine = read_answer(await side.ask("GET", deliveries.MY_DELIVERIES), json.loads)
    assert mine["deliveries"] == [json.loads(shown.write())]
    assert (shown.id, shown.host, shown.group) == (waits.id, await side.host.name(), None)
    for field in ("uid", "user", "issuer", "role", "scopes", "audiences", "name",
                  "replaces_foreign"):  # fmt: skip
        assert getattr(shown, field) == getattr(wanted, field)


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ({"uid": 1001}, "not_allowed"),
        ({"user": "bob"}, "not_allowed"),
        ({"scopes": []}, "not_allowed"),
        ({"audiences": ["https://other"]}, "not_allowed"),
        ({"name": "dav"}, "not_allowed"),
        ({"replaces_foreign": True}, "not_allowed"),
        ({"host": "lx2.example.org"}, "not_allowed"),
        ({"consent_code": Secret("consent code", "cc_" + "x" * 43)}, "not_found"),
    ],
)
async def test_consent_is_to_what_was_announced(side: Side, lie: dict[str, Any], word: str) -> None:
    """And then it still waits."""
    wanted = order(side)
    waits = await side.host.announce(wanted)
    assert await refusal(consent(side, waits, wanted, **lie)) == word
    assert await side.host.standing() == []
    assert (await consent(side, waits, wanted)).id == waits.id


async def test_a_new_lease_ends_the_one_before(side: Side) -> None:
    """Each order has one at a host."""
    named = await ordered(side)
    first = (await side.host.lease(named)).lease_token
    assert await side.works(first)
    second = (await side.host.lease(named)).lease_token
    assert [await side.works(one) for one in (first, second)] == [False, True]


@pytest.mark.parametrize("by_host", [True, False])
async def test_an_order_is_ended_by_its_host_or_its_person(side: Side, by_host: bool) -> None:
    """With its lease; then it is not there."""
    named = await ordered(side)
    lease = (await side.host.lease(named)).lease_token
    await (side.host.end(named) if by_host else ended(side, named))
    assert not await side.works(lease)
    assert await side.host.standing() == []
    for again in (side.host.end(named), side.host.lease(named), ended(side, named)):
        assert await refusal(again) == "not_found"


async def test_an_order_for_a_group_is_ended_by_its_person_alone(side: Side) -> None:
    """And made for a group of the host's alone."""
    assert await refusal(side.host.announce(order(side, group="others"))) == "not_allowed"
    named = await ordered(side, group=side.group)
    (one,) = await side.host.standing()
    assert (one.host, one.group) == (None, side.group)
    assert await refusal(side.host.end(named)) == "not_allowed"
    await ended(side, named)
    assert await side.host.standing() == []


@pytest.mark.parametrize("changes", [{"uid": 0}, {"user": "a b"}, {"scopes": []}, {"name": "../x"}])
async def test_what_nobody_can_order_is_refused_in_words(
    side: Side, changes: dict[str, Any]
) -> None:
    """Before anybody is asked to consent."""
    assert await refusal(side.host.announce(order(side, **changes))) == "malformed"
