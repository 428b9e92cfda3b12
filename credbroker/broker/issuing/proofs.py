"""The newest word of a person's own issuer about them: the token of the grant's last refresh.

- To sign by, it must be alive and not due to be renewed. While the issuer does not answer, one that
  is alive will do; once the issuer has refused a refresh, none does until that is mended.
- It is held apart from what callers are served from.
- To know what a person may ask for, the last one does, even expired: it signs nothing by itself.
"""

from __future__ import annotations

from credbroker.broker.custody.refreshing import Refreshing, Wish
from credbroker.broker.running import Means
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import GrantPaused, Unavailable
from credbroker.domain.freshness import Freshness, pick
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.tokens import AccessToken

# A refresh that nobody waits for any more goes on for as long.
PATIENCE_SECONDS = 300.0
REFUSED = frozenset({GrantState.PAUSED, GrantState.LOST})
"""The issuer's last word about a person in these states is no."""


class Proofs:
    """The newest tokens of issuers whose people are signed for here."""

    def __init__(self, refreshing: Refreshing, means: Means, renew_after: float) -> None:
        """Take what `refreshing` holds, or brings once `renew_after` of the last one's life is over."""
        self._refreshing = refreshing
        self._clock = means.clock
        self._deeds = means.deeds
        self._renew_after = renew_after

    async def newest(self, grant: Grant, whole: Right, seconds: float) -> AccessToken:
        """Return the last token to be had within `seconds`, which may have expired.

        `whole` is the right that the grant is refreshed for. Raises as `Refreshing.refresh` does.
        """
        held = self._refreshing.proof(grant.line, whole)
        if held is not None and held.seconds_left(self._clock.now()) > 0:
            return held
        until = self._clock.elapsed() + seconds
        wait = seconds if held is None else seconds / 2
        try:
            return await self._refreshing.refresh(Wish(grant.key, grant.line, whole), wait)
        except (Unavailable, GrantPaused):
            known = held or await self._last(grant, until - self._clock.elapsed())
            if known is None:
                raise
            return known

    async def good(self, grant: Grant, whole: Right) -> AccessToken:
        """Return one to sign by. Raises as `Refreshing.refresh` does if there is none."""
        held, now = self._refreshing.proof(grant.line, whole), self._clock.now()
        refused = grant.state in REFUSED
        fresh = pick(held, 0.0, self._renew_after, now)
        if held is not None and fresh is Freshness.GOOD and not refused:
            return held
        wish = Wish(grant.key, grant.line, whole)
        try:
            return await self._refreshing.refresh(wish, PATIENCE_SECONDS)
        except Unavailable:
            if held is None or refused or held.seconds_left(self._clock.now()) <= 0:
                raise
            return held

    async def _last(self, grant: Grant, seconds: float) -> AccessToken | None:
        looking = self._deeds.begin(self._refreshing.last_proof(grant), "look at the last proof")
        return await self._deeds.result(looking, seconds)
