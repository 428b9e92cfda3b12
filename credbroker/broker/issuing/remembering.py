"""Remembers what took work to find out, so that the same again costs none: so many things, and no more.

- What may end is judged at each use, by whoever asks: here it is only known again.
- There is room for so many; the one that was kept first goes first.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

ROOM = 4096


class Remembering(Generic[T]):
    """What was found out last, by a key that says all it follows from."""

    def __init__(self, room: int = ROOM) -> None:
        """Remember `room` at the most."""
        self._room = room
        self._kept: dict[Hashable, T] = {}

    def get(self, key: Hashable) -> T | None:
        """Return what is remembered under this key; None if that is not known, or no more."""
        return self._kept.get(key)

    def keep(self, key: Hashable, found: T) -> None:
        """Remember this, in the place of what was there."""
        if len(self._kept) >= self._room and key not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = found

    def forget(self, key: Hashable) -> None:
        """Remember nothing under this key."""
        self._kept.pop(key, None)
