"""Keeps what this host knows of its people's orders up to date.

The broker is asked now and then, and at once when somebody here says that something has changed, but
never twice within a second. While it does not answer, what was known last goes on.
"""

from __future__ import annotations

from credbroker.domain.errors import CredbrokerError
from credbroker.edge.sessions.bell import Bell
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import Say, SessionOrders
from credbroker.ports import Clock, Entropy

LEAST_PAUSE_SECONDS = 1.0
_SPREAD = 0.5


class Standing:
    """Asks for the standing orders."""

    def __init__(
        self, host: Host, orders: SessionOrders, clock: Clock, entropy: Entropy, say: Say
    ) -> None:
        """Ask `host`, tell `orders`."""
        self._host = host
        self._orders = orders
        self._clock = clock
        self._entropy = entropy
        self._say = say
        self._bell = Bell(clock)

    def look(self) -> None:
        """Have the broker asked at once."""
        self._bell.ring()

    async def run(self, seconds: float) -> None:
        """Ask for ever, each time after about so many seconds."""
        while True:
            try:
                self._orders.stand(await self._host.standing())
            except CredbrokerError as error:
                self._say("orders not known", error=error.code, message=error.sentence)
            await self._clock.sleep(LEAST_PAUSE_SECONDS)
            # Hosts that were started together do not all come at once.
            wait = seconds * (1 - _SPREAD * self._entropy.fraction())
            await self._bell.heard_within(wait)
