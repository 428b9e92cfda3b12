"""Gets tokens for less than the whole right of a grant, in the way that costs least.

- Signed here where that can be, by the newest word of the person's issuer about them; else by token
  exchange where the issuer is set to do it (RFC 8693), which spends no refresh token; else by a
  refresh.
- Leases of a grant that want the same right share one token, also across replicas: it is kept
  beside the grant until it expires. A race costs one token more, never gives a wrong one.
- Whatever the way, the answer is held against what was asked for. It takes the place of no other
  token, and no exchange changes anything about the grant.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Mapping

import structlog

from credbroker.broker.custody.gate import Gates
from credbroker.broker.custody.refreshing import UNFIT_PAUSE_SECONDS, Refreshing, Wish
from credbroker.broker.custody.resting import Rests
from credbroker.broker.holding import HeldTokens
from credbroker.broker.issuing.proofs import PATIENCE_SECONDS, Proofs
from credbroker.broker.running import Means, served
from credbroker.broker.trail import about
from credbroker.domain.attenuation import Ceiling, Right, Wanted, attenuate
from credbroker.domain.errors import (
    CredbrokerError,
    GrantPaused,
    IssuerGaveLess,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    OutsideCeiling,
)
from credbroker.domain.freshness import Freshness, due_at, pick
from credbroker.domain.grants import Grant
from credbroker.domain.narrow import NarrowToken, place_of
from credbroker.domain.outcomes import Dead, Outcome, Renewed
from credbroker.domain.policy import Asked
from credbroker.domain.tokens import AccessToken, check_issued
from credbroker.ports import Issuer, LocalMint, RecordStore, StaleVersionError, Stored

log = structlog.get_logger(__name__)


class Way(enum.Enum):
    """How a narrow token is come by."""

    MINT = "mint"
    """Signed here."""
    EXCHANGE = "exchange"
    """Given by the issuer for the access token of the whole right."""
    REFRESH = "refresh"
    """Given by the issuer for the refresh token."""


class Narrowing:
    """All narrow tokens that this process fetches come through one of these."""

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        refreshing: Refreshing,
        gates: Gates,
        held: HeldTokens,
        means: Means,
        *,
        shared: RecordStore[NarrowToken],
        renew_after: float,
        mints: Mapping[str, LocalMint] | None = None,
    ) -> None:
        """Fetch at `issuers`, by name, or from `mints`, into `held`; keep what is `shared`.

        A token of another replica is used until `renew_after` (0 to 1) of its life is over.
        """
        self._issuers = issuers
        self._refreshing = refreshing
        self._gates = gates
        self._held = held
        self._shared = shared
        self._renew_after = renew_after
        self._mints = mints or {}
        self._proofs = Proofs(refreshing, means, renew_after)
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._check_clock = means.check_clock
        self._running: dict[Wish, asyncio.Task[AccessToken]] = {}
        self._unfit = Rests[Wish](means.clock, means.entropy)

    def way(self, issuer: str) -> Way:
        """Return how a narrow token of this issuer is come by. Raises `NotFound`."""
        if issuer in self._mints:
            return Way.MINT
        return Way.EXCHANGE if served(self._issuers, issuer).exchanges else Way.REFRESH

    def counts(self, grant: Grant, token: AccessToken) -> bool:
        """Return False for a token at hand that was signed here and that no service is to take by now."""
        mint = self._mints.get(grant.key.issuer)
        return mint is None or mint.counts(grant, token)

    async def most(self, grant: Grant, whole: Right, asked: Asked, seconds: float) -> Right:
        """Return the most that is signed here for the grant's person, at the audiences asked for.

        Goes by the newest word of their issuer to be had within `seconds`. Raises as
        `Refreshing.refresh` does, `ScopeRefused` and `AudienceRefused`.
        """
        proof = await self._proofs.newest(grant, whole, seconds)
        return self._mints[grant.key.issuer].most(proof, asked)

    async def about(
        self, grant: Grant, whole: Right, ceiling: Ceiling, wanted: Wanted, seconds: float
    ) -> AccessToken:
        """Return a new token about a user of a host, for whose login `grant` is, within `ceiling`.

        Waits at most `seconds`. Raises as `most` does, and `OutsideCeiling` where nobody signs.
        """
        if self.way(grant.key.issuer) is not Way.MINT:
            raise OutsideCeiling("Tokens of this issuer are about who logged in, and nobody else.")
        deed = self._deeds.begin(self._minted_about(grant, whole, ceiling, wanted), "mint about")
        return await self._deeds.result(deed, seconds)

    async def fetch(self, wish: Wish, grant: Grant, whole: Right, seconds: float) -> AccessToken:
        """Return a new access token for the wish; `whole` is all that the grant gives.

        Waits at most `seconds`, then raises `Busy` while it goes on. Raises as
        `Refreshing.refresh` does, and `IssuerRefusedRequest` if the issuer refuses an exchange.
        """
        task = self._running.get(wish)
        if task is None:
            self._unfit.check(wish)
            task = self._deeds.begin(self._narrow(wish, grant, whole), "narrow")
            self._running[wish] = task
            task.add_done_callback(lambda _: self._running.pop(wish, None))
        return await self._deeds.result(task, seconds)

    async def _narrow(self, wish: Wish, grant: Grant, whole: Right) -> AccessToken:
        way = self.way(wish.key.issuer)
        if way is Way.MINT:
            return await self._kept_if_fit(wish, self._minted(wish, grant, whole))
        place = place_of(wish.key, wish.right)
        found, known = await self._look(place)
        if found is not None and (token := await self._at_hand(found, wish, grant)) is not None:
            return token
        if way is Way.EXCHANGE:
            token = await self._kept_if_fit(wish, self._exchanged(wish, grant, whole))
        else:
            token = await self._refreshing.refresh(wish, PATIENCE_SECONDS)
        if known:
            version = found.version if found is not None else 0
            self._deeds.begin(self._share(place, wish, token, version), "share a narrow token")
        return token

    async def _kept_if_fit(self, wish: Wish, getting: Awaitable[AccessToken]) -> AccessToken:
        """Keep at hand what comes; what did not fit, or was refused, is not asked again so soon."""
        try:
            token = await getting
        except (IssuerRefusedRequest, IssuerMisbehaved, IssuerGaveLess, GrantPaused) as error:
            self._unfit.rest(wish, error, UNFIT_PAUSE_SECONDS)
            raise
        self._held.put(wish.line, wish.right, token)
        return token

    async def _minted(self, wish: Wish, grant: Grant, whole: Right) -> AccessToken:
        mint = self._mints[wish.key.issuer]
        proof = await self._proofs.good(grant, whole)
        await self._refreshing.admit(grant)
        token = await mint.mint(grant, wish.right, proof)
        now = self._clock.now()
        check_issued(token, wish.right, issuer_url=mint.url, subject=grant.subject, now=now)
        return token

    async def _minted_about(
        self, grant: Grant, whole: Right, ceiling: Ceiling, wanted: Wanted
    ) -> AccessToken:
        mint, user = self._mints[grant.key.issuer], wanted.about or ""
        proof = await self._proofs.good(grant, whole)
        await self._refreshing.admit(grant)
        scopes = wanted.scopes if wanted.scopes is not None else ceiling.scopes
        asked = Asked(scopes, wanted.audiences or ceiling.audiences)
        right = attenuate(mint.most(proof, asked, user), ceiling, wanted)
        token = await mint.mint(grant, right, proof, user)
        check_issued(token, right, issuer_url=mint.url, subject=user, now=self._clock.now())
        return token

    # -- token exchange --------------------------------------------------------------------------

    async def _exchanged(self, wish: Wish, grant: Grant, whole: Right) -> AccessToken:
        """Exchange the access token of the whole right; one that is not taken is got anew, once."""
        outcome = await self._exchange(wish, grant, await self._whole_token(wish, whole))
        if isinstance(outcome, Dead):
            whole_wish = Wish(wish.key, wish.line, whole)
            subject = await self._refreshing.refresh(whole_wish, PATIENCE_SECONDS)
            outcome = await self._exchange(wish, grant, subject)
        if isinstance(outcome, Renewed):
            return await self._refreshing.verified(wish, grant, outcome.access_token)
        if isinstance(outcome, Dead):
            raise IssuerRefusedRequest("The issuer refuses to exchange this login's access tokens.")
        raise outcome.error

    async def _whole_token(self, wish: Wish, whole: Right) -> AccessToken:
        token = self._held.get(wish.line, whole)
        fresh = pick(token, 0.0, self._renew_after, self._clock.now())
        if token is not None and fresh is Freshness.GOOD:
            return token
        return await self._refreshing.refresh(Wish(wish.key, wish.line, whole), PATIENCE_SECONDS)

    async def _exchange(self, wish: Wish, grant: Grant, subject: AccessToken) -> Outcome:
        """Ask once, when the issuer has room."""
        self._check_clock()  # it would take the token that it gets for expired
        issuer, gate = served(self._issuers, wish.key.issuer), self._gates.of(wish.key.issuer)
        async with gate.entered(wish.key):
            await self._refreshing.admit(grant)
            await self._audit.record(
                "exchange_begun",
                **about(grant),
                scope=wish.right.scopes,
                audience=list(wish.right.audiences),
                subject_jti=subject.jti,
            )
            try:
                outcome = await issuer.exchange(subject.value, wish.right)
            except CredbrokerError as error:
                gate.note(error, wish.key, verdict=False)
                raise
            gate.note(outcome, wish.key, verdict=False)
        return outcome

    # -- shared by all replicas ------------------------------------------------------------------

    async def _look(self, place: str) -> tuple[Stored[NarrowToken] | None, bool]:
        """Return what is kept in this place, and whether the store could say."""
        try:
            return await self._shared.get(place), True
        except CredbrokerError as error:
            log.warning("narrow_token_not_read", place=place, why=error.sentence)
            return None, False

    async def _at_hand(
        self, found: Stored[NarrowToken], wish: Wish, grant: Grant
    ) -> AccessToken | None:
        """Return what another replica got, if it is for this wish and not yet due.

        One that is due is held all the same: it is served if no new one is to be had.
        """
        kept, now = found.value, self._clock.now()
        held = self._held.get(wish.line, wish.right)
        if not kept.serves(wish.line, wish.right, now):
            return None
        if held is not None and (held.value == kept.value or held.expires_at > kept.expires_at):
            return None
        try:
            token = await self._refreshing.verified(wish, grant, kept.value)
        except CredbrokerError:
            return None  # not what this caller may have: a new one is fetched
        token = token.obtained(min(now, kept.obtained_at))
        self._held.put(wish.line, wish.right, token)
        return token if now < due_at(token, self._renew_after) else None

    async def _share(self, place: str, wish: Wish, token: AccessToken, version: int) -> None:
        kept = NarrowToken(wish.line, wish.right, token.value, token.obtained_at, token.expires_at)
        try:
            await self._shared.put(place, kept, version)
        except StaleVersionError:
            pass  # another replica's, which is as good
        except CredbrokerError as error:
            log.warning("narrow_token_not_shared", place=place, why=error.sentence)
