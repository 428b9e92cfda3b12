"""The machine's source of chance, in the one place that reads it."""

from __future__ import annotations

import secrets


class SystemEntropy:
    """Chance from the operating system. Follows `ports.Entropy`."""

    def token(self, size: int) -> str:
        """Return `size` random bytes as unpadded base64url text."""
        return secrets.token_urlsafe(size)

    def fraction(self) -> float:
        """Return a number in [0, 1), for spreading work over time."""
        return secrets.randbits(53) / (1 << 53)
