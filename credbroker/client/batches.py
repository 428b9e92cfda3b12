"""Access tokens in batches, for programs with an event loop: each entry with its own lease.

As in `client.broker`, a token is held against what was asked for before anybody gets it, and times
are judged by the broker's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from credbroker.client.broker import (
    BrokerTime,
    Fetched,
    WallClock,
    checked_token,
    read_answer,
    request_headers,
)
from credbroker.client.http11 import Answer, Request
from credbroker.domain.errors import BrokerUnreachable, CredbrokerError, IssuerMisbehaved
from credbroker.wire import native
from credbroker.wire.problem import error_of

if TYPE_CHECKING:
    import datetime

    from credbroker.ports import Entropy


class Send(Protocol):
    """Sends one request; `client.streams.Door.send` is the real one."""

    async def __call__(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        """Return the answer, whatever its status. Raises `BrokerUnreachable`."""


class Batches:
    """One broker, asked for many tokens at a time."""

    def __init__(self, send: Send, clock: WallClock, entropy: Entropy) -> None:
        """Ask by `send`."""
        self._send = send
        self._entropy = entropy
        self._time = BrokerTime(clock)

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock, as far as its last answer told it."""
        return self._time.now()

    async def ask(self, entries: Sequence[native.AskUnder]) -> list[Fetched | CredbrokerError]:
        """Return what became of each entry, in order.

        Raises:
            CredbrokerError: None was answered, as when the broker cannot be reached.
        """
        body = native.AskTokens(list(entries)).write()
        request = Request("POST", native.TOKENS_BATCH, request_headers(self._entropy), body)
        # Asked twice it gives the same tokens, so a connection that was just closed does no harm.
        answer = await self._send(request, harmless_twice=True)
        self._time.learn(answer)
        given = read_answer(answer, native.TokensGiven.read).entries
        if len(given) != len(entries):
            raise BrokerUnreachable("The broker answered another number of entries than was asked.")
        return [self._judged(one, entry) for one, entry in zip(given, entries)]

    def _judged(
        self, answered: native.TokenOrProblem, entry: native.AskUnder
    ) -> Fetched | CredbrokerError:
        if answered.problem is not None:
            return error_of(answered.problem)
        if answered.given is None:
            return BrokerUnreachable("The broker answered neither with a token nor with a problem.")
        if answered.lease_id != entry.lease_id:
            return IssuerMisbehaved("The token that came is another lease's.")
        try:
            return Fetched(answered.given, checked_token(answered.given, entry, self.now()))
        except CredbrokerError as unfit:
            return unfit
