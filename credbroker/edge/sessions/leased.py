"""Asks for the tokens of orders: first, where it lacks, for the lease to serve an order under.

Leases live in memory alone, and are asked for when a token is due and not before: an agent that starts
among files that are fresh asks for nothing. One order's refusal is its own. What is about to be written
is noted first, so that the agent knows its own files again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
)
from credbroker.domain.secret import Secret
from credbroker.edge.orders import Asker, Fresh, Order
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import Say
from credbroker.edge.sessions.written import Written
from credbroker.ports import Clock
from credbroker.wire.deliveries import DeliveryLease

LEASES_AT_ONCE = 16

Outcome = Fresh | CredbrokerError


class Leased:
    """The way to the broker for a host's orders. Follows `edge.orders.Asker`."""

    def __init__(self, tokens: Asker, host: Host, written: Written, clock: Clock, say: Say) -> None:
        """Ask `host` for leases and `tokens` for what they are good for."""
        self._say = say
        self._tokens = tokens
        self._host = host
        self._written = written
        self._clock = clock
        self._leases: dict[str, DeliveryLease] = {}
        self.most_at_once = tokens.most_at_once

    async def ask(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        """Return each order's token, or why there is none.

        Raises:
            BrokerUnreachable: It does not answer.
        """
        had = set(self._leases)
        outcomes = await self._ask_once(orders)
        again = [order for order in orders if order.id in had and _is_over(outcomes[order.id])]
        for order in again:
            self._leases.pop(order.id, None)
        if again:
            outcomes |= await self._ask_once(again)
        await self._note(orders, outcomes)
        return [outcomes[order.id] for order in orders]

    async def _ask_once(self, orders: Sequence[Order]) -> dict[str, Outcome]:
        found = await self._leases_of(orders)
        outcomes: dict[str, Outcome] = {
            key: one for key, one in found.items() if isinstance(one, CredbrokerError)
        }
        leased = [
            dataclasses.replace(order, secret=secret)
            for order in orders
            if isinstance(secret := found[order.id], Secret)
        ]
        if leased:
            answers = await self._tokens.ask(leased)
            outcomes |= zip((order.id for order in leased), answers, strict=True)
        return outcomes

    async def _leases_of(self, orders: Sequence[Order]) -> dict[str, Secret | CredbrokerError]:
        places = asyncio.Semaphore(LEASES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            asked = {order.id: group.create_task(self._lease(order.id, places)) for order in orders}
        found = {key: task.result() for key, task in asked.items()}
        for one in found.values():
            if isinstance(one, BrokerUnreachable):
                raise one
        return found

    async def _lease(self, named: str, places: asyncio.Semaphore) -> Secret | CredbrokerError:
        known = self._leases.get(named)
        if known is not None and self._clock.now() < known.ends_at:
            return known.lease_token
        try:
            async with places:
                given = await self._host.lease(named)
        except CredbrokerError as refused:
            return refused
        self._leases[named] = given
        return given.lease_token

    async def _note(self, orders: Sequence[Order], outcomes: dict[str, Outcome]) -> None:
        brought: defaultdict[int, list[tuple[str, Secret]]] = defaultdict(list)
        for order in orders:
            outcome = outcomes[order.id]
            if isinstance(outcome, Fresh) and order.place.owner is not None:
                file = order.place.path.name
                brought[order.place.owner[0]].append((file, outcome.token.value))
        try:
            await asyncio.to_thread(self._written.note, brought)
        except LocalFileUnfit as unfit:  # a full disk here must cost nobody a token there
            self._say("not noted", message=unfit.sentence)


def _is_over(outcome: Outcome) -> bool:
    return isinstance(outcome, LeaseEnded | LeaseUnknown)
