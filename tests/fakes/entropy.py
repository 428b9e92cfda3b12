"""Chance without chance: every value is new, and the same in each run. Follows `ports.Entropy`."""

from __future__ import annotations

import base64
import hashlib
import itertools


class FakeEntropy:
    """Counts instead of throwing dice."""

    def __init__(self, fraction: float = 0.0) -> None:
        """Return `fraction`, in [0, 1), whenever a fraction is asked for."""
        self.next_fraction = fraction
        self._count = itertools.count(1)

    def token(self, size: int) -> str:
        """Return what comes of the next number, as `size` bytes in unpadded base64url text."""
        number = next(self._count).to_bytes(8, "big")
        made = hashlib.shake_256(number).digest(size)  # new in every part, not at its end alone
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def fraction(self) -> float:
        """Return what the test set."""
        return self.next_fraction
