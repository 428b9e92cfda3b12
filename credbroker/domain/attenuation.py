"""Narrowing a right: from what was granted, through the lease's ceiling, to what is asked for.

The result is within all three, or the request is refused: nothing is cut silently, since a job
with less than it asked for fails later and further away. Two traps of the WLCG profile are closed
here: a token that loses its last capability must not keep groups (they would come back to life and
widen it), and a wildcard audience is given only where the wildcard was allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from credbroker.domain import profile_names
from credbroker.domain.errors import Malformed, OutsideCeiling
from credbroker.domain.scopes import ScopeItem, ScopeSet

ANY_AUDIENCE = profile_names.ANY_AUDIENCE
# An issuer that is asked for an empty one, or two in one, would give a token for others.
_AUDIENCE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,1024}\Z")


@dataclass(frozen=True, eq=False)
class Right:
    """What a token may do: its scopes, and for whom it is. Audiences empty = the issuer's own choice.

    Two rights are equal if they name the same scopes and the same audiences, in whatever order; an
    issuer is asked in the order in which a right names them.
    """

    scopes: ScopeSet
    audiences: tuple[str, ...] = ()

    def within(self, other: Right) -> bool:
        """True if whatever this allows at any service, `other` allows there too."""
        if _revives_groups(other.scopes, self.scopes):
            return False
        return Ceiling(self.scopes, self.audiences or None).within(
            Ceiling(other.scopes, other.audiences or None)
        )

    def __eq__(self, other: object) -> bool:
        return self._sets == other._sets if isinstance(other, Right) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._sets)

    @cached_property
    def _sets(self) -> tuple[frozenset[ScopeItem], frozenset[str]]:
        return frozenset(self.scopes), frozenset(self.audiences)


@dataclass(frozen=True)
class Ceiling:
    """The most that may be asked. `None` leaves that side to whatever lies above."""

    scopes: ScopeSet | None = None
    audiences: tuple[str, ...] | None = None

    def within(self, other: Ceiling) -> bool:
        """True if nothing allowed here is forbidden by `other`."""
        if other.scopes is not None and (
            self.scopes is None or len(other.scopes.missing(self.scopes))
        ):
            return False
        if other.audiences is None:
            return True
        return self.audiences is not None and _audiences_within(self.audiences, other.audiences)


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for. `None` = all that the ceiling allows; the floor is in seconds.

    `about` names a user of the caller's own host, where the token is not about the caller.
    """

    scopes: ScopeSet | None = None
    audiences: tuple[str, ...] | None = None
    floor_seconds: int = 0
    about: str | None = None


def attenuate(granted: Right, ceiling: Ceiling, wanted: Wanted) -> Right:
    """Return the right to ask the issuer for; raise `OutsideCeiling` naming what is too much.

    Raises `Malformed` for an audience that can be none. `granted` is the person's grant: its scopes, and the audiences its role allows (empty = any).
    """
    scopes = _narrow_scopes(granted.scopes.rights(), ceiling.scopes, wanted.scopes)
    audiences = _narrow_audiences(granted.audiences, ceiling.audiences, wanted.audiences)
    if _revives_groups(granted.scopes, scopes):
        raise OutsideCeiling(
            "Groups alone would be wider than groups with capabilities: ask for a capability too."
        )
    return Right(scopes, audiences)


def _narrow_scopes(
    granted: ScopeSet, ceiling: ScopeSet | None, wanted: ScopeSet | None
) -> ScopeSet:
    named = wanted if wanted is not None else ceiling
    asked = named.rights() if named is not None else granted
    for limit, whose in ((granted, "the grant"), (ceiling, "the lease")):
        outside = limit.missing(asked) if limit is not None else ScopeSet()
        if len(outside):
            raise OutsideCeiling(f"Outside {whose}: {outside}.")
    if not len(asked) and len(granted):
        raise OutsideCeiling("Nothing is left to ask for: name at least one scope.")
    return asked


def _revives_groups(before: ScopeSet, after: ScopeSet) -> bool:
    """True if groups, which any capability silences, would speak again (WLCG profile 1.3)."""
    return before.has_capability and not after.has_capability and after.has_groups


def _narrow_audiences(
    granted: tuple[str, ...], ceiling: tuple[str, ...] | None, wanted: tuple[str, ...] | None
) -> tuple[str, ...]:
    if not all(_AUDIENCE.match(one) for one in wanted or ()):
        raise Malformed("An audience is 1 to 1024 printable ASCII characters without spaces.")
    asked = wanted if wanted is not None else (ceiling if ceiling is not None else granted)
    for limit, whose in ((granted or None, "the role"), (ceiling, "the lease")):
        if limit is not None and not _audiences_within(asked, limit):
            raise OutsideCeiling(f"An audience asked for is outside {whose}.")
    return tuple(dict.fromkeys(asked))


def _audiences_within(asked: tuple[str, ...], limit: tuple[str, ...]) -> bool:
    if ANY_AUDIENCE in limit:
        return True
    # An empty request would leave the choice to the issuer, which is wider than any list.
    return bool(asked) and set(asked) <= set(limit)
