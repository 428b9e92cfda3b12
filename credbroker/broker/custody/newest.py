"""Records as this process stored them last, to be claimed again without a read."""

from __future__ import annotations

from dataclasses import replace

from credbroker.broker.custody.rewinding import Rewinding
from credbroker.domain.grants import Grant
from credbroker.ports import Clock, Stored

ROOM = 20_000


class Newest:
    """What this process knows of grants; any of it may be outdated.

    Whoever claims by it finds out at the check-and-set, and is spared a read if it is not. Nothing
    is remembered over a restore of Vault, which counts its versions again.
    """

    def __init__(self, rewinding: Rewinding, clock: Clock) -> None:
        """Forget when `rewinding` says that a new era has begun."""
        self._rewinding = rewinding
        self._clock = clock
        self._known: dict[str, tuple[Stored[Grant], float]] = {}
        self._era: int | None = None

    def take(self, segment: str) -> Stored[Grant] | None:
        """Return the record as it was stored last, once; None if that is not known."""
        if self._rewinding.era != self._era:
            self._known.clear()
        known = self._known.pop(segment, None)
        if known is None:
            return None
        stored, stored_at = known
        return replace(stored, age_seconds=self._clock.elapsed() - stored_at)

    def remember(self, segment: str, grant: Grant, version: int) -> None:
        """Know that the record was stored just now as this version."""
        era = self._rewinding.era
        if era is None:
            return
        if era != self._era or len(self._known) >= ROOM:
            self._known.clear()
        self._era = era
        self._known[segment] = Stored(grant, version, 0.0), self._clock.elapsed()
