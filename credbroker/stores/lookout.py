"""Lets requests wait for a node of the cluster that serves, while one of them looks for all.

However many wait, the nodes are asked by one of them at a time; once a node was seen, all try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from credbroker.ports import Clock

PAUSE_SECONDS = 0.2


class Lookout:
    """Who waits for a node, and how often one was seen."""

    def __init__(self, look: Callable[[], Awaitable[bool]], clock: Clock) -> None:
        """Find out by `look` whether a node serves."""
        self._look = look
        self._clock = clock
        self._looking = asyncio.Lock()
        self._sightings = 0

    def seen(self) -> None:
        """Note that a node serves; whoever waits goes on."""
        self._sightings += 1

    async def wait(self, until: float) -> bool:
        """Return True once a node was seen, False if none was `until` then (`Clock.elapsed`)."""
        before = self._sightings
        async with self._looking:
            while self._sightings == before and self._clock.elapsed() < until:
                await self._clock.sleep(PAUSE_SECONDS)
                if await self._look():
                    self.seen()
        return self._sightings != before
