"""Whose a uid is: asked of the host anew, in good time, and what was ordered by somebody else stays."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from credbroker.domain.errors import Busy, CredbrokerError, NotAllowed, NotFound
from credbroker.domain.secret import Secret
from credbroker.edge.orders import Fresh, Order, Place
from credbroker.edge.sessions import accounts
from credbroker.edge.sessions.accounts import KNOWN_SECONDS, Accounts, OwnOnly, user_of
from credbroker.wire.jwt import read_access_token
from tests.fakes.broker import access_token
from tests.fakes.clock import FakeClock

ORDERED = {"hers": "ada", "his": "bob"}


class Tokens:
    """Gives everybody a token. Follows `edge.orders.Asker`."""

    most_at_once = 7

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, orders: Sequence[Order]) -> list[Fresh | CredbrokerError]:
        """Answer each."""
        self.asked += [order.id for order in orders]
        now = FakeClock().now()
        return [Fresh(read_access_token(access_token(now, jti=one.id), now), 9) for one in orders]


class Host:
    """A host with its people, and what is asked for them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.names = {1000: "ada", 1001: "bob"}
        self.looked_up: list[int] = []
        self.accounts = Accounts(self.clock, self.look_up)
        self.tokens = Tokens()
        self.asker = OwnOnly(self.tokens, ORDERED.get, self.accounts)

    def look_up(self, uid: int) -> str:
        """Say who it is, as the operating system does."""
        self.looked_up.append(uid)
        if uid not in self.names:
            raise NotFound(f"The uid {uid} has no name on this host.")
        return self.names[uid]

    async def ask(self, *orders: Order) -> list[str]:
        """Ask for tokens; return each one's id, or the word of why there is none."""
        outcomes = await self.asker.ask(orders)
        return [one.code if isinstance(one, CredbrokerError) else one.token.jti for one in outcomes]


@pytest.fixture
def host() -> Iterator[Host]:
    """A host where ada and bob have accounts."""
    host = Host()
    yield host
    host.accounts.close()


def order(named: str, uid: int) -> Order:
    """Return an order for a person's file."""
    place = Place(Path(f"/run/user/{uid}/bt_u{uid}"), owner=(uid, uid), as_owner=True)
    return Order(named, place, "broker", Secret("order", named))


async def test_who_ordered_gets_it(host: Host) -> None:
    """Each in the place of the own order; the others of a batch do not matter."""
    assert await host.ask(order("hers", 1000), order("his", 1001)) == ["hers", "his"]
    assert host.asker.most_at_once == 7
    assert await host.ask() == []


async def test_whoever_has_the_uid_now_gets_nothing_of_who_had_it(host: Host) -> None:
    """After an account was given to another, and on a host of the group where it is another's."""
    assert await host.ask(order("hers", 1000)) == ["hers"]
    host.names[1000] = "eve"
    host.clock.advance(KNOWN_SECONDS)
    assert await host.ask(order("hers", 1000), order("his", 1001)) == ["not_allowed", "his"]
    with pytest.raises(NotAllowed, match=r"ordered by ada.* uid 1000 is eve"):
        raise (await host.asker.ask([order("hers", 1000)]))[0]  # type: ignore[misc] # it is an error
    assert host.tokens.asked == ["hers", "his"]


async def test_who_has_no_name_here_and_what_nobody_ordered_is_refused(host: Host) -> None:
    """Without asking the broker."""
    assert await host.ask(order("hers", 7), order("gone", 1000)) == ["not_found", "not_found"]
    assert host.tokens.asked == []


async def test_a_name_is_believed_for_a_minute(host: Host) -> None:
    """A host of many people asks its directory for each now and then."""
    for _ in range(9):
        assert await host.accounts.name(1000) == "ada"
    assert host.looked_up == [1000]
    host.clock.advance(KNOWN_SECONDS)
    assert await host.accounts.name(1000) == "ada"
    assert host.looked_up == [1000, 1000]


async def test_a_directory_that_hangs_costs_an_order_its_turn_and_nothing_else(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is known already goes on."""
    monkeypatch.setattr(accounts, "ANSWER_SECONDS", 0.02)
    assert await host.ask(order("his", 1001)) == ["his"]
    let_go = threading.Event()
    host.accounts._look_up = lambda _: str(let_go.wait(30))
    assert await host.ask(order("hers", 1000), order("his", 1001)) == ["busy", "his"]
    with pytest.raises(Busy, match="does not say who"):
        await host.accounts.name(1000)
    let_go.set()


def test_the_operating_system_knows_its_own() -> None:
    """And says so in words where it does not."""
    assert user_of(0) == "root"
    assert user_of(os.getuid())
    with pytest.raises(NotFound, match="has no name on this host"):
        user_of(2**32 - 7)
