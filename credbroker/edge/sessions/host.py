"""The broker as a host asks it: which orders stand here, and the leases to serve them under.

The host shows who it is once and is then known by a host token, which lives in memory alone. One that
the broker does not take any more is replaced, once, without anybody noticing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TypeVar

from credbroker.client.batches import Send
from credbroker.client.broker import delivery_target, read_answer, request_headers
from credbroker.client.http11 import Request
from credbroker.domain.errors import LeaseEnded, LeaseUnknown
from credbroker.domain.secret import Secret
from credbroker.edge.sessions.host_key import Assertion
from credbroker.ports import Clock, Entropy
from credbroker.wire import deliveries

T = TypeVar("T")

_RENEW_SECONDS = 3540.0
"""How long a session of an hour is used; one that ends sooner, with its certificate, is opened anew."""
_LEAST_SECONDS = 60.0
"""How long a session lasts at the least before another one is opened instead."""


class Host:
    """This host at the broker."""

    def __init__(
        self, send: Send, show: Send, clock: Clock, entropy: Entropy, assertion: Assertion
    ) -> None:
        """Ask by `send`; `show` sends what proves who this host is, on a connection of its own."""
        self._send = send
        self._show = show
        self._clock = clock
        self._entropy = entropy
        self._assertion = assertion
        self._session: deliveries.HostSession | None = None
        self._opened_at = 0.0
        self._opening = asyncio.Lock()

    async def join(self, join_token: Secret, public_key: str) -> str:
        """Trade a join token for the right of this key; return the host's name."""
        wanted = deliveries.JoinHost(join_token, public_key)
        joined = await self._prove(deliveries.HOST_JOIN, deliveries.HostJoined.read, wanted.write())
        return joined.host

    async def name(self) -> str:
        """Return the name under which the broker knows this host."""
        return (await self._open()).host

    async def announce(self, wanted: deliveries.AnnounceDelivery) -> deliveries.DeliveryAnnounced:
        """Announce an order that a person placed here; it waits for that person's consent."""
        return await self._ask_known(
            "POST", deliveries.DELIVERIES, deliveries.DeliveryAnnounced.read, wanted.write()
        )

    async def standing(self) -> list[deliveries.DeliveryShown]:
        """Return the orders that people have consented to, for this host or a group of its."""
        found: list[deliveries.DeliveryShown] = []
        after: str | None = ""
        while after is not None:
            target = f"{deliveries.DELIVERIES}?after={after}" if after else deliveries.DELIVERIES
            shown = await self._ask_known("GET", target, deliveries.DeliveriesShown.read)
            found, after = [*found, *shown.deliveries], shown.more
        return found

    async def lease(self, named: str) -> deliveries.DeliveryLease:
        """Return a new lease for one order; the one before it is over."""
        target = delivery_target(deliveries.DELIVERY_LEASE, named)
        return await self._ask_known("POST", target, deliveries.DeliveryLease.read)

    async def end(self, named: str) -> None:
        """End an order, for a person who gave it up here."""
        target = delivery_target(deliveries.DELIVERY, named)
        await self._ask_known("DELETE", target, lambda _: None)

    async def _ask_known(
        self, method: str, target: str, read: Callable[[bytes], T], body: bytes = b""
    ) -> T:
        session = await self._open()
        try:
            return await self._ask(session, Request(method, target, {}, body), read)
        except (LeaseUnknown, LeaseEnded):
            # It may also be the order's own login that is over, which a new session cannot mend.
            if self._clock.elapsed() < self._opened_at + _LEAST_SECONDS:
                raise
            if self._session is session:
                self._session = None
        return await self._ask(await self._open(), Request(method, target, {}, body), read)

    async def _open(self) -> deliveries.HostSession:
        async with self._opening:
            if self._session is None or self._clock.elapsed() >= self._opened_at + _RENEW_SECONDS:
                wanted = deliveries.OpenHostSession(self._assertion())
                self._session = await self._prove(
                    deliveries.HOST_SESSIONS, deliveries.HostSession.read, wanted.write()
                )
                self._opened_at = self._clock.elapsed()
            return self._session

    async def _prove(self, target: str, read: Callable[[bytes], T], body: bytes) -> T:
        """Send what may be sent once only."""
        headers = request_headers(self._entropy)
        return read_answer(await self._show(Request("POST", target, headers, body)), read)

    async def _ask(
        self, session: deliveries.HostSession, request: Request, read: Callable[[bytes], T]
    ) -> T:
        headers = request_headers(self._entropy, session.host_token)
        asked = dataclasses.replace(request, headers=headers)
        # A second announcement waits in vain, a second lease ends the first, an end is an end.
        return read_answer(await self._send(asked, harmless_twice=True), read)
