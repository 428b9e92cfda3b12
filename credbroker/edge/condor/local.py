"""Tokens for the access point's own users, got under its standing lease.

The lease is one and the users are many, so what comes is believed only if it is about the very user
it is delivered to. A broker that mints for others puts the user's name there; one that does not is
refused here, and nobody gets another's token.
"""

from __future__ import annotations

from collections.abc import Sequence

from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved
from credbroker.edge.orders import Asker, Fresh, Order


class LocalAsker:
    """Asks the broker of the standing lease. Follows `edge.orders.Asker`."""

    def __init__(self, broker: Asker) -> None:
        """Ask by `broker`; an order is `about` a user."""
        self._broker = broker
        self.most_at_once = broker.most_at_once

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Return each order's token if it is about its user, or else why there is none."""
        answers = await self._broker.ask(orders)
        return [_checked(*pair) for pair in zip(orders, answers, strict=True)]


def _checked(order: Order, answer: Fresh | CredbrokerError) -> Fresh | CredbrokerError:
    if isinstance(answer, Fresh) and answer.token.subject != order.about:
        return IssuerMisbehaved(
            "The token that came under the standing lease is about somebody else.",
            "The operator must name in LOCAL_CREDMON_LEASE_FILE a lease that mints for the users here.",
        )
    return answer
