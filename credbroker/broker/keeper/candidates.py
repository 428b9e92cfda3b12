"""Whose refresh costs least, if an issuer in trouble is tried with it; and how long people can wait.

First the operator's throw-away grant, then grants that no living token is known of, then those
whose consumers' tokens last longest. Only a few are remembered for each issuer: nobody tries many.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from credbroker.broker.custody.refreshing import Wish
from credbroker.broker.holding import HeldTokens, InUse
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import PROBE_CREDKEY
from credbroker.domain.names import GrantKey
from credbroker.ports import Clock

ROOM = 32
HORIZON_KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Spare:
    """A grant that was ready when it was last seen."""

    wish: Wish
    tokens_until: float
    """When its last access token expires, as a timestamp; 0 if none is known of."""

    @property
    def is_probe(self) -> bool:
        return self.wish.key.credkey == PROBE_CREDKEY


class Candidates:
    """A few grants for each issuer, and all that is in use."""

    def __init__(self, right_of: Callable[[Grant], Right], held: HeldTokens, clock: Clock) -> None:
        """Ask for `right_of` a grant; what is in use, `held` knows."""
        self._right_of = right_of
        self._held = held
        self._clock = clock
        self._spares: dict[str, dict[GrantKey, _Spare]] = {}
        self._horizons: dict[str, datetime.datetime] = {}
        self._horizons_until = float("-inf")

    def learn(self, grant: Grant) -> None:
        """Remember a grant that is ready, if there is room; forget it if it is not."""
        spares = self._spares.setdefault(grant.key.issuer, {})
        if grant.state is not GrantState.READY:
            spares.pop(grant.key, None)
        elif grant.key in spares or len(spares) < ROOM or grant.key.credkey == PROBE_CREDKEY:
            try:
                wish = Wish(grant.key, grant.line, self._right_of(grant), kept=True)
            except CredbrokerError:
                return  # its role is not served any more
            until = grant.tokens_until.timestamp() if grant.tokens_until is not None else 0.0
            spares[grant.key] = _Spare(wish, until)

    def of(self, issuer: str) -> Iterator[Wish]:
        """Walk what may be tried at an issuer, what costs least first."""
        in_use = _first_to_expire(use for use in self._held.in_use() if use.key.issuer == issuer)
        spares = self._spares.get(issuer, {}).values()
        for spare in sorted(spares, key=lambda one: (not one.is_probe, one.tokens_until)):
            if spare.is_probe or spare.wish.key not in in_use:
                yield spare.wish
        for use in sorted(in_use.values(), key=lambda one: one.expires_at, reverse=True):
            yield Wish(use.key, use.line, use.right)

    def horizon(self, issuer: str) -> datetime.datetime | None:
        """Return when the first token expires that somebody lives on; None if nobody does."""
        elapsed = self._clock.elapsed()
        if elapsed >= self._horizons_until:
            # One walk for all issuers: there may be many tokens.
            self._horizons_until = elapsed + HORIZON_KEPT_SECONDS
            self._horizons = {}
            for use in self._held.in_use():
                first = self._horizons.setdefault(use.key.issuer, use.expires_at)
                self._horizons[use.key.issuer] = min(first, use.expires_at)
        return self._horizons.get(issuer)


def _first_to_expire(uses: Iterator[InUse]) -> dict[GrantKey, InUse]:
    """Return for each grant the token of it that expires first: so long its consumers can wait."""
    first: dict[GrantKey, InUse] = {}
    for use in uses:
        if use.key not in first or use.expires_at < first[use.key].expires_at:
            first[use.key] = use
    return first
