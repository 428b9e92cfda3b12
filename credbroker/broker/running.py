"""Deeds that must be finished whoever stops waiting for them.

A refresh that went out, or a login that the issuer has answered, is carried to its stored end: by a
task of its own that no caller's time-out, disconnect or failing neighbour cancels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from credbroker.domain.errors import Busy, NotFound
from credbroker.ports import Audit, Clock, Entropy, Waypoint, Waypoints

T = TypeVar("T")


class Deeds:
    """The unfinished deeds of this process."""

    def __init__(self, clock: Clock) -> None:
        """Wait by `clock`."""
        self._clock = clock
        self._unfinished: set[asyncio.Task[Any]] = set()

    def begin(self, deed: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a deed; it runs to its end even if nobody waits for it."""
        task = asyncio.get_running_loop().create_task(deed, name=name)
        self._unfinished.add(task)
        task.add_done_callback(self._done)
        return task

    async def result(self, task: asyncio.Task[T], seconds: float) -> T:
        """Return the deed's result, or raise `Busy` after `seconds` while it goes on."""
        if not await self.is_done(task, seconds):
            raise Busy("The issuer is slow; its answer is still being waited for.")
        return task.result()

    async def is_done(self, task: asyncio.Task[T], seconds: float) -> bool:
        """Return whether the deed is over, having waited `seconds` for it at the most."""
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
        return task.done()

    async def finish(self) -> None:
        """Return once every deed that was begun is over."""
        while self._unfinished:
            await asyncio.wait(set(self._unfinished))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits gets it; if nobody does, it was written down already


def served(by_issuer: Mapping[str, T], name: str) -> T:
    """Return what serves this issuer. Raises `NotFound` for one that the settings name no more."""
    try:
        return by_issuer[name]
    except KeyError:
        raise NotFound(f"The issuer {name!r} is not served here any more.") from None


class NoWaypoints:
    """Nobody waits at any point. Follows `ports.Waypoints`."""

    async def reach(self, point: Waypoint) -> None:
        """Go on at once."""


def no_clock_to_compare() -> None:
    """Take this host's clock as it is."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every deed needs: the trail, time, chance, and a way to be finished.

    `check_clock` raises `ClockOff` while this host's wall clock is known to be wrong.
    """

    audit: Audit
    clock: Clock
    entropy: Entropy
    deeds: Deeds
    waypoints: Waypoints = field(default_factory=NoWaypoints)
    check_clock: Callable[[], None] = no_clock_to_compare
