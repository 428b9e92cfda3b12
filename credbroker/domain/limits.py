"""How often something may be done: so many times at once, and so many a second after that.

Of what was done so far one number is kept: the time at which all of it will be made up for. What
lies in the past says that nothing is left to make up for, and may be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """`burst` times at once (at least 1), and `per_second` (above 0) times a second for ever."""

    per_second: float
    burst: int

    def wait_seconds(self, made_up_at: float, now: float) -> float:
        """Return how long to wait until once more is allowed; 0 if it is allowed `now`."""
        return max(0.0, made_up_at - now - (self.burst - 1) / self.per_second)

    def once_more(self, made_up_at: float, now: float) -> float:
        """Return the time at which all is made up for, having done it once more `now`."""
        return max(made_up_at, now) + 1 / self.per_second

    def once_less(self, made_up_at: float) -> float:
        """Return the time at which all is made up for, if once of it did not count."""
        return made_up_at - 1 / self.per_second
