"""Tokens under a standing lease reach only those they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved, LeaseEnded
from credbroker.domain.secret import Secret
from credbroker.edge.condor.local import LocalAsker
from credbroker.edge.orders import Fresh, Order, Place
from tests.unit.things import access_token


class Minting:
    """A broker that mints for whoever is named in `speaks_of`."""

    most_at_once = 7

    def __init__(self, **speaks_of: str) -> None:
        self.speaks_of = speaks_of

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        return [
            Fresh(access_token(subject=self.speaks_of[one.about]), 60.0)
            if one.about in self.speaks_of
            else LeaseEnded("over")
            for one in orders
        ]


def order(user: str) -> Order:
    """Return a local order of a user."""
    place = Place(Path("/f"))
    return Order(user, place, "local+x", Secret("lease token", "cb_x"), about=user)


async def test_a_token_about_somebody_else_is_not_delivered() -> None:
    """The lease is one, the users are many; errors pass as they are."""
    asker = LocalAsker(Minting(alice="alice", bob="whoever holds the lease"))
    assert asker.most_at_once == 7
    alice, bob, carol = await asker.ask([order("alice"), order("bob"), order("carol")])
    assert isinstance(alice, Fresh)
    assert isinstance(bob, IssuerMisbehaved)
    assert isinstance(carol, LeaseEnded)
