"""A person's robots: whose grants they brought, under names below their own identity key.

A grant is found by its names alone, so these names are remembered where its person finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from credbroker.domain.names import GrantKey

MOST_ROBOTS = 500
"""So many are remembered of one person, the ones that were brought last."""


@dataclass(frozen=True)
class Robots:
    """The places, each a credkey and a role, that one person at one issuer brought grants for."""

    issuer: str
    credkey: str
    places: tuple[tuple[str, str], ...] = ()

    def added(self, credkey: str, role: str) -> Robots:
        """Return these and one more; it is the last one then, also if it was there."""
        place = (credkey, role)
        others = tuple(one for one in self.places if one != place)
        return replace(self, places=(*others, place)[-MOST_ROBOTS:])

    def keys(self) -> list[GrantKey]:
        """Return where their grants are."""
        return [GrantKey(self.issuer, credkey, role) for credkey, role in self.places]
