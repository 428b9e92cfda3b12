"""Asks a broker for what orders want, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

from credbroker.client.batches import Batches
from credbroker.client.broker import Fetched
from credbroker.domain.errors import CredbrokerError
from credbroker.edge.orders import Fresh, Order
from credbroker.wire.native import AskUnder

ORDERS_IN_A_BATCH = 100
"""Of tokens with many groups so many still fit into one answer."""


class BrokerAsker:
    """The way to one broker. Follows `edge.orders.Asker`."""

    most_at_once = ORDERS_IN_A_BATCH

    def __init__(self, batches: Batches) -> None:
        """Ask by `batches`."""
        self._batches = batches

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Return for each order its token or why there is none; see `edge.orders.Asker`."""
        answered = await self._batches.ask([_entry(order) for order in orders])
        return [self._fresh(one) for one in answered]

    def _fresh(self, answered: Fetched | CredbrokerError) -> Fresh | CredbrokerError:
        if isinstance(answered, CredbrokerError):
            return answered
        renew_seconds = (answered.given.renew_at - self._batches.now()).total_seconds()
        return Fresh(answered.token, renew_seconds)


def _entry(order: Order) -> AskUnder:
    return AskUnder(
        order.secret,
        None if order.scopes is None else list(order.scopes),
        None if order.audiences is None else list(order.audiences),
        order.minimum_seconds,
        order.about or None,
    )
