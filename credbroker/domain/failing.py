"""For how long an issuer has been failing, as one replica has seen it itself.

What counts is the time from the first to the last failure in a row: one failure that nobody followed
up is no time at all. An answer ends the row, a refusal too, even of the broker's own client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from credbroker.domain.breaker import Evidence


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
            return Failing(now if self.first_at is None else self.first_at, now)
        return Failing()

    @property
    def seconds(self) -> float:
        """How long the row is; 0 without one."""
        return 0.0 if self.first_at is None else self.last_at - self.first_at
