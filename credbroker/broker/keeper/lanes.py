"""Lanes: things seen to in order, a few at once, so that what is slow delays its own lane only."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Start = Callable[[Coroutine[Any, Any, None]], object]


class Lane(Generic[T]):
    """Sees to everything that is added."""

    def __init__(self, places: int, see_to: Callable[[T], Awaitable[None]], start: Start) -> None:
        """Do `see_to` for up to `places` things at once, in tasks that `start` begins when needed.

        `see_to` deals with its own errors: one that it raises ends its task.
        """
        self._places = places
        self._see_to = see_to
        self._start = start
        self._waiting: deque[T] = deque()
        self._busy = 0

    def add(self, thing: T, *, first: bool = False) -> None:
        """See to it after all that waits, or before with `first`."""
        (self._waiting.appendleft if first else self._waiting.append)(thing)
        if self._busy < self._places:
            self._busy += 1
            self._start(self._work_off())

    @property
    def unfinished(self) -> int:
        """How many things wait or are being seen to."""
        return len(self._waiting) + self._busy

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                await self._see_to(self._waiting.popleft())
        finally:
            self._busy -= 1
