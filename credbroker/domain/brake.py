"""Whether an issuer calls so many grants dead that it cannot be taken at its word.

An issuer rolled back by a day, or moved to an empty database, calls everybody's grant dead. The
brake tips when more than max(5, 1 %) of its answers in 10 minutes do, over all replicas.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Tuple

WINDOW_SECONDS = 600.0
SLICE_SECONDS = 10.0
LATEST = 20
LEAST_DEAD = 5
DEAD_SHARE = 0.01


def tips(answers: int, dead: int) -> bool:
    """True if so many `dead` among so many `answers` are beyond belief."""
    return dead > max(LEAST_DEAD, DEAD_SHARE * answers)


class Verdicts:
    """What one issuer said to this replica's refreshes in the last 10 minutes, to within 10 s."""

    def __init__(self) -> None:
        """Begin with none."""
        self._slices: Deque[Tuple[int, int, int]] = deque()
        self._latest: Deque[bool] = deque(maxlen=LATEST)

    def note(self, now: float, *, dead: bool) -> None:
        """Count an answer at `now` (seconds since boot)."""
        at, answers, deaths = int(now // SLICE_SECONDS), 0, 0
        if self._slices and self._slices[-1][0] == at:
            _, answers, deaths = self._slices.pop()
        self._slices.append((at, answers + 1, deaths + dead))
        self._latest.append(dead)

    def counted(self, now: float) -> Tuple[int, int]:
        """Return the number of answers, and of those that said dead."""
        while self._slices and (self._slices[0][0] + 1) * SLICE_SECONDS <= now - WINDOW_SECONDS:
            self._slices.popleft()
        return sum(one[1] for one in self._slices), sum(one[2] for one in self._slices)

    def mostly_dead(self) -> bool:
        """True if more than half of the last 20 answers, or of as many as came, said dead."""
        return 2 * sum(self._latest) > len(self._latest)

    def forget(self) -> None:
        """Begin anew: an operator has looked at it."""
        self._slices.clear()
        self._latest.clear()
