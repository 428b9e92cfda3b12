"""What the broker needs from outside, as Protocols: the only sockets in its wall.

Each port has a contract suite in `tests/contract` that every implementation passes, the fakes
included. Adapters in `stores`, `issuers`, `telemetry` and `host` satisfy these by shape; none
imports another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime


class Clock(Protocol):
    """Time. `now` is for people and tokens; `elapsed` is for deadlines."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""

    def elapsed(self) -> float:
        """Return seconds since boot; counts time asleep, never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""


class Entropy(Protocol):
    """Chance."""

    def token(self, size: int) -> str:
        """Return `size` random bytes as unpadded base64url text."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
