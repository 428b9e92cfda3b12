"""Whether an issuer calls so many grants dead that it cannot be taken at its word.

An issuer rolled back by a day, or moved to an empty database, calls everybody's grant dead. The
brake tips when it has called more than max(5, 1 %) of what it answered in 10 minutes dead, over all
replicas: grants are counted, so that one person's alone never tips it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, FrozenSet, Hashable, Tuple

WINDOW_SECONDS = 600.0
SLICE_SECONDS = 10.0
LATEST = 20
# More dead grants than this need not be told from each other.
MOST_DEAD_KEPT = 10_000
LEAST_DEAD = 5
DEAD_SHARE = 0.01


def tips(answers: int, dead: int) -> bool:
    """True if so many `dead` among so many `answers` are beyond belief."""
    return dead > max(LEAST_DEAD, DEAD_SHARE * answers)


class Verdicts:
    """What one issuer said to this replica's refreshes in the last 10 minutes, to within 10 s.

    Answers are counted, and the grants that it called dead last.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._slices: Deque[Tuple[int, int]] = deque()
        self._dead: Dict[Hashable, float] = {}
        self._latest: Dict[Hashable, bool] = {}
        self._looked_at: FrozenSet[Hashable] = frozenset()

    def note(self, now: float, key: Hashable, *, dead: bool) -> None:
        """Count an answer for the grant `key` at `now` (seconds since boot)."""
        if dead and key in self._looked_at:
            return
        at, answers = int(now // SLICE_SECONDS), 0
        if self._slices and self._slices[-1][0] == at:
            _, answers = self._slices.pop()
        self._slices.append((at, answers + 1))
        self._dead.pop(key, None)
        if dead:
            self._dead[key] = now
            _forget_oldest(self._dead, MOST_DEAD_KEPT)
        self._latest.pop(key, None)
        self._latest[key] = dead
        _forget_oldest(self._latest, LATEST)

    def counted(self, now: float) -> Tuple[int, int]:
        """Return the number of answers, and of the grants that were called dead."""
        while self._slices and (self._slices[0][0] + 1) * SLICE_SECONDS <= now - WINDOW_SECONDS:
            self._slices.popleft()
        dead = sum(at > now - WINDOW_SECONDS for at in self._dead.values())
        return sum(answers for _, answers in self._slices), dead

    def called_dead(self, key: Hashable) -> bool:
        """True if the last that was said of this grant is that it is dead."""
        return key in self._dead

    def mostly_dead(self) -> bool:
        """True if more than half of the last 20 grants, or of as many as came, were called dead."""
        return 2 * sum(self._latest.values()) > len(self._latest)

    def forget(self) -> None:
        """Begin anew: an operator has looked at it, and what was called dead counts no more."""
        self._looked_at |= frozenset(self._dead)
        self._slices.clear()
        self._dead.clear()
        self._latest.clear()


def _forget_oldest(kept: Dict[Hashable, Any], most: int) -> None:
    if len(kept) > most:
        del kept[next(iter(kept))]
