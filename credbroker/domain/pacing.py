"""How much of an issuer's limits one replica may use.

The limits hold for all replicas together, and none asks another first:

- One place is kept free for whoever joins. A newcomer has that one until all have seen it.
- The other places are split evenly, the remainder to the first; nobody has less than one.
- Less counts at once. More counts when the refreshes that others began before are over.
- The rate goes with the places.

So the limits are kept as long as replicas join one after the other and there are fewer of them than
places; each further newcomer within `SETTLE_SECONDS` may add one refresh at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from credbroker.domain.limits import Allowance

# The longest a refresh is waited for at an issuer that rotates.
SETTLE_SECONDS = 120.0


@dataclass(frozen=True)
class IssuerLimits:
    """What an issuer may be asked by all replicas together: refreshes a second, and at once."""

    per_second: float = 50.0
    at_once: int = 16


def places_of(limits: IssuerLimits, rank: int, count: int, *, newcomer: bool) -> int:
    """Return how many refreshes the replica at `rank` (from 0) of `count` may have at once.

    A newcomer that sees nobody else has no one to wait for.
    """
    if newcomer and count > 1:
        return 1
    kept_free = 1 if limits.at_once > 1 else 0
    each, remainder = divmod(limits.at_once - kept_free, count)
    return max(1, each + (1 if rank < remainder else 0))


class OwnPart:
    """This replica's part of the limits at one issuer, as its view of the others changes."""

    def __init__(self, limits: IssuerLimits) -> None:
        """Begin without a view of the others."""
        self._limits = limits
        self._places: Optional[int] = None
        self._fair = 0
        self._fair_since = 0.0
        self._always_alone = True

    def look(self, rank: int, count: int, *, newcomer: bool, now: float) -> Allowance:
        """Return the part, given the view at `now` (seconds since boot).

        Its `burst` is how many refreshes may be under way at once.
        """
        fair = places_of(self._limits, rank, count, newcomer=newcomer)
        if fair != self._fair:
            self._fair, self._fair_since = fair, now
        self._always_alone = self._always_alone and count == 1
        settled = self._always_alone or now - self._fair_since >= SETTLE_SECONDS
        if self._places is None or fair < self._places or settled:
            self._places = fair
        return Allowance(
            self._limits.per_second * self._places / self._limits.at_once, self._places
        )
