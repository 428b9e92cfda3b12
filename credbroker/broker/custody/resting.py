"""What is not asked again so soon: an issuer that is away, a grant in trouble, an answer that did not fit.

These pauses are this process's own and live in memory, in which the first of too many is forgotten;
they spare the issuer and the refresh token, and decide nothing that must be right.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from credbroker.domain.errors import CredbrokerError
from credbroker.domain.retry import backoff_seconds
from credbroker.ports import Clock, Entropy

K = TypeVar("K", bound=Hashable)

LONGEST_PAUSE_SECONDS = 5.0
MOST_RESTING = 10_000


class Rests(Generic[K]):
    """Things that failed a moment ago, each with the error to repeat until its pause is over."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        """Begin with nothing at rest."""
        self._clock = clock
        self._entropy = entropy
        self._resting: dict[K, tuple[CredbrokerError, int, float]] = {}

    def check(self, thing: K) -> None:
        """Raise the error that put `thing` to rest, until its pause is over."""
        error, _, until = self._resting.get(thing, (None, 0, 0.0))
        if error is not None and self._clock.elapsed() < until:
            raise type(error)(error.sentence, error.remedy)

    def rest(self, thing: K, error: CredbrokerError, seconds: float | None = None) -> None:
        """Let `thing` rest: for `seconds`, or for longer the more often it failed in a row."""
        now = self._clock.elapsed()
        failures = self._resting[thing][1] + 1 if thing in self._resting else 1
        pause = min(backoff_seconds(failures, self._entropy.fraction()), LONGEST_PAUSE_SECONDS)
        longest = max(LONGEST_PAUSE_SECONDS, seconds or 0.0)
        self._resting = {one: it for one, it in self._resting.items() if now < it[2] + longest}
        if len(self._resting) >= MOST_RESTING and thing not in self._resting:
            del self._resting[next(iter(self._resting))]
        self._resting[thing] = (error, failures, now + (pause if seconds is None else seconds))

    def wake(self, thing: K) -> None:
        """Forget that `thing` ever failed."""
        self._resting.pop(thing, None)
