"""Remembers what was verified, so that a token which is shown again costs no signature.

- Only what was found good is kept, by the SHA-256 of all of it; whether it still counts is judged at
  each use, by whoever asks.
- There is room for so many; the one that was kept first goes first.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

ROOM = 4096


class Remembering(Generic[T]):
    """What was verified last, by digest."""

    def __init__(self, room: int = ROOM) -> None:
        """Remember `room` at the most."""
        self._room = room
        self._kept: dict[str, T] = {}

    def get(self, digest: str) -> T | None:
        """Return what was verified under this digest; None if that is not known, or no more."""
        return self._kept.get(digest)

    def keep(self, digest: str, verified: T) -> None:
        """Remember what was found good."""
        if len(self._kept) >= self._room:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = verified
