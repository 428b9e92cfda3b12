"""Chance that a seed decides, so that a campaign's plan can be had again."""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Follows `ports.Entropy`, by the seed."""

    def __init__(self, seed: int) -> None:
        """Begin the same for the same seed."""
        self._seed = seed
        self._count = 0

    def token(self, size: int) -> str:
        """Return `size` bytes as unpadded base64url text."""
        return base64.urlsafe_b64encode(self._bytes(size)).decode().rstrip("=")

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return int.from_bytes(self._bytes(6), "big") / (1 << 48)

    def shuffled(self, things: list[T]) -> list[T]:
        """Return the same things in another order."""
        drawn = [(self.fraction(), number) for number in range(len(things))]
        return [things[number] for _, number in sorted(drawn)]

    def _bytes(self, size: int) -> bytes:
        self._count += 1
        made = b""
        while len(made) < size:
            text = f"{self._seed} {self._count} {len(made)}"
            made += hashlib.sha256(text.encode()).digest()
        return made[:size]
