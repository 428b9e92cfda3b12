"""What a person may ask of the agent: about oneself, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from credbroker.domain.errors import Malformed, NotFound
from credbroker.edge.sessions.accounts import Accounts
from credbroker.edge.sessions.clerk import Clerk
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import SessionOrders
from credbroker.edge.sessions.standing import Standing
from credbroker.edge.sessions.written import Written
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import sessions
from credbroker.wire.sessions import AskAgent, WantedDelivery
from tests.fakes.clock import FakeClock
from tests.fakes.deliveries import GROUP, HOST, FakeDeliveries
from tests.fakes.entropy import FakeEntropy

ADA, BOB = 1000, 1001


class Desk:
    """An agent's clerk at a fake broker."""

    def __init__(self, state: Path) -> None:
        self.clock = FakeClock()
        self.broker = FakeDeliveries(self.clock)
        entropy = SystemEntropy()
        self.host = Host(self.broker.send, self.broker.send, self.clock, entropy, lambda: None)
        self.orders = SessionOrders(Written(state, entropy), self.clock, lambda *_, **__: None)
        self.standing = Standing(
            self.host, self.orders, self.clock, FakeEntropy(), lambda *_, **__: None
        )
        accounts = Accounts(self.clock, lambda uid: f"user{uid}")
        self.clerk = Clerk(
            self.host, self.orders, self.standing, accounts, folder=Path("/run/user")
        )

    async def ask(self, uid: int, deed: str, **fields: object) -> sessions.AgentAnswer:
        """Ask as the person with this uid; what stands is known by then."""
        self.orders.stand(self.broker.standing.values())
        return await self.clerk.answer(uid, AskAgent(deed, **fields))  # type: ignore[arg-type] # the test knows the fields


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Nobody has ordered anything."""
    return Desk(tmp_path)


def wanted(**fields: object) -> WantedDelivery:
    """Return an order with what most have."""
    usual = {
        "issuer": "cms", "role": "default", "scopes": ["storage.read:/"], "audiences": ["https://d"],
    }  # fmt: skip
    return WantedDelivery(**{**usual, **fields})  # type: ignore[arg-type] # the test knows the fields


async def test_an_order_is_announced_for_who_asks(desk: Desk) -> None:
    """With the uid that the kernel told and the name that belongs to it."""
    answer = await desk.ask(ADA, sessions.PLACE, wanted=wanted(name="dav", group=GROUP))
    assert answer.placed is not None
    code, announced = desk.broker.announced[answer.placed.id]
    assert (announced.uid, announced.user) == (ADA, f"user{ADA}")
    assert (announced.name, announced.group) == ("dav", GROUP)
    assert (announced.scopes, announced.audiences) == (["storage.read:/"], ["https://d"])
    assert not announced.replaces_foreign
    assert answer.placed.consent_code.reveal() == code
    assert answer.placed.host == HOST
    assert answer.placed.path == f"/run/user/{ADA}/bt_u{ADA}-dav"


@pytest.mark.parametrize("name", ["../bt_u0", "a/b", "", "x" * 65])
async def test_a_name_that_leads_elsewhere_is_not_announced(desk: Desk, name: str) -> None:
    """It would be part of a path."""
    with pytest.raises(Malformed):
        await desk.ask(ADA, sessions.PLACE, wanted=wanted(name=name))
    assert desk.broker.announced == {}


async def test_everybody_sees_the_own_orders_alone(desk: Desk) -> None:
    """With how they stand."""
    own = desk.broker.order(ADA)
    desk.broker.order(BOB)
    answer = await desk.ask(ADA, sessions.LIST)
    assert answer.seen == [
        sessions.DeliverySeen(own.id, f"/run/user/{ADA}/bt_u{ADA}", "not logged in here")
    ]


async def test_another_s_order_is_as_unknown_as_none(desk: Desk) -> None:
    """Its own person can end it."""
    his = desk.broker.order(BOB)
    for named in (his.id, "order-77", "../x", None):
        with pytest.raises(NotFound, match="no such order"):
            await desk.ask(ADA, sessions.END, id=named)
    assert desk.broker.standing == {his.id: his}
    await desk.ask(BOB, sessions.END, id=his.id)
    assert desk.broker.standing == {}


async def test_a_deed_that_nobody_knows_is_refused(desk: Desk) -> None:
    """And so is an order without what is ordered."""
    with pytest.raises(Malformed):
        await desk.ask(ADA, "dance")
    with pytest.raises(Malformed):
        await desk.ask(ADA, sessions.PLACE)
