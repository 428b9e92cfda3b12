"""The machine's source of chance, in the one place that reads it."""

from __future__ import annotations

import base64
import os


class SystemEntropy:
    """Chance from the operating system. Follows `ports.Entropy`."""

    def token(self, size: int) -> str:
        """Return `size` random bytes as unpadded base64url text."""
        return base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()

    def fraction(self) -> float:
        """Return a number in [0, 1), for spreading work over time."""
        return (int.from_bytes(os.urandom(7), "big") >> 3) / (1 << 53)
