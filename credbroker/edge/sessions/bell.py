"""Wakes whoever waits for something to do, at once or after a while."""

from __future__ import annotations

import asyncio

from credbroker.ports import Clock


class Bell:
    """Rung by one side, heard by the other; many rings before one hearing are one."""

    def __init__(self, clock: Clock) -> None:
        """Measure waits by `clock`."""
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or let the next one not wait at all."""
        self._rung.set()

    async def heard(self) -> None:
        """Return once it has rung since the last time."""
        await self._rung.wait()
        self._rung.clear()

    async def heard_within(self, seconds: float) -> None:
        """Return once it has rung, or after `seconds`."""
        async with asyncio.TaskGroup() as waiting:
            alarm = waiting.create_task(self._ring_after(seconds))
            await self.heard()
            alarm.cancel()

    async def _ring_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.ring()
