"""For how long an issuer has been failing, as one replica has seen it itself.

What counts is the time from the first to the last failure in a row: one failure that nobody followed
up is no time at all. An answer ends the row, a refusal too, even of the broker's own client; and so
does it if nobody has looked for `FOLLOWED_SECONDS`, since nobody knows what was in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from credbroker.domain.breaker import Evidence

FOLLOWED_SECONDS = 120.0


@dataclass(frozen=True)
class Failing:
    """A row of failures; times in seconds since boot."""

    first_at: Optional[float] = None
    last_at: float = 0.0

    def noted(self, seen: Evidence, now: float) -> Failing:
        """Return what the row becomes by what was seen `now`."""
        if seen is Evidence.NOTHING:
            return self
        if seen in {Evidence.SILENT, Evidence.FAILED}:
            return Failing(
                now if self.first_at is None or not self._goes_on(now) else self.first_at, now
            )
        return Failing()

    def seconds(self, now: float) -> float:
        """Return how long the row is that goes on `now`; 0 without one."""
        if self.first_at is None or not self._goes_on(now):
            return 0.0
        return self.last_at - self.first_at

    def _goes_on(self, now: float) -> bool:
        return now - self.last_at <= FOLLOWED_SECONDS
