"""The way to a real HTVault: one GET for each token, several under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from credbroker.client.broker import told_at
from credbroker.client.http11 import Answer, Request
from credbroker.client.htvault_tokens import ask, read_answer
from credbroker.domain.errors import BrokerUnreachable, CredbrokerError
from credbroker.edge.orders import Fresh, Order
from credbroker.ports import Clock, Entropy

_EARLIEST_RENEWAL = 1 / 2
_RENEWAL_SPREAD = 1 / 6
"""A token is renewed between a half and two thirds of its life."""

Send = Callable[[Request], Awaitable[Answer]]


class HtvaultAsker:
    """Asks one HTVault. Follows `edge.orders.Asker`."""

    most_at_once = 8

    def __init__(self, send: Send, clock: Clock, entropy: Entropy) -> None:
        """Ask by `send`, which leads to the one server."""
        self._send = send
        self._clock = clock
        self._entropy = entropy

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Return each order's token or error; raise if the server was of use to none of them."""
        answers = await asyncio.gather(*(self._one(order) for order in orders))
        troubles = [answer for answer in answers if isinstance(answer, BrokerUnreachable)]
        if len(troubles) == len(answers):
            raise troubles[0]
        return answers

    async def _one(self, order: Order) -> Fresh | CredbrokerError:
        try:
            answer = await self._send(
                ask(
                    order.path_on_server,
                    order.secret,
                    minimum_seconds=order.minimum_seconds,
                    scopes=order.scopes,
                    audiences=order.audiences,
                )
            )
            token = read_answer(answer, told_at(answer) or self._clock.now())
        except CredbrokerError as error:
            return error
        life = token.seconds_left(token.obtained_at)
        part = _EARLIEST_RENEWAL + _RENEWAL_SPREAD * self._entropy.fraction()
        return Fresh(token, life * part)
