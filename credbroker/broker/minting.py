"""The whole deed that yields an access token: one straight line that every surface ends in."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.custody.refreshing import Refreshing, Wish
from credbroker.broker.holding import HeldTokens
from credbroker.broker.known_grants import KnownGrants
from credbroker.broker.leasing import Caller, Leasing, about
from credbroker.broker.narrowing import Narrowing, Way
from credbroker.broker.recall import FRESH_SECONDS
from credbroker.broker.running import Means
from credbroker.broker.trail import traces
from credbroker.domain.attenuation import Ceiling, Right, Wanted, attenuate
from credbroker.domain.errors import (
    GrantPaused,
    LeaseEnded,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    TooSoonExpired,
    Unavailable,
)
from credbroker.domain.freshness import Freshness, due_at, pick, renew_at
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import check_login, check_unchained
from credbroker.domain.losses import why_lost
from credbroker.domain.policy import Asked
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Bridge

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Minted:
    """An access token for a caller, and when the caller should come back."""

    token: AccessToken
    issuer: str
    renew_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class MintingRules:
    """The audiences each (issuer, role) may be used for (none = any), and when tokens are due.

    `only_one` names the (issuer, role) pairs whose issuer gives a token one audience at a time:
    there a caller that asks for none gets the first.
    """

    audiences: Mapping[tuple[str, str], tuple[str, ...]]
    renew_after: float
    only_one: frozenset[tuple[str, str]] = frozenset()


class Minting:
    """Mints access tokens from grants, for callers with a lease."""

    def __init__(
        self,
        known: KnownGrants,
        refreshing: Refreshing,
        held: HeldTokens,
        rules: MintingRules,
        means: Means,
        *,
        leasing: Leasing,
        narrowing: Narrowing,
        bridges: Mapping[str, Bridge] | None = None,
    ) -> None:
        """Mint from `known` grants: what is `held`, or `refreshing` brings; `leasing` knows callers.

        What is less than the whole right of a grant, `narrowing` brings; `bridges`, by issuer, sign
        while it is out.
        """
        self._bridges = bridges or {}
        self._known = known
        self._refreshing = refreshing
        self._narrowing = narrowing
        self._rules = rules
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._held = held
        self._leasing = leasing

    async def mint_access_token(self, caller: Caller, wanted: Wanted) -> Minted:
        """Return an access token that is within what was granted, leased and asked for.

        It lives at least `wanted.floor_seconds` longer. A good one at hand is used again; while
        issuer or store are away a usable one is served, and who has none waits for them until an
        answer is due. Raises `Refused`, `GrantLost` or `Unavailable` kinds.
        """
        if caller.next_taken is None:
            check_unchained(caller.lease)
        grant, fresh = await self.grant_of(caller, oldest=float("inf"))
        if wanted.about is not None:
            return await self._mint_about(caller, wanted)
        right = await self._right(caller, grant, wanted)
        held = self._at_hand(grant, right)
        judged = self._judge(held, wanted)
        try:
            if judged is not Freshness.GOOD and not (fresh and caller.fresh):
                await self._await_store(caller, judged)
                held = self._at_hand(grant, right)  # somebody may have fetched it meanwhile
                judged = self._judge(held, wanted)
            if judged is Freshness.GOOD and held is not None:
                token = held
            else:
                token = await self._fetch(caller, grant, right, wanted.floor_seconds)
        except (Unavailable, GrantPaused) as error:
            # Judged anew: it may have run out while the fetch was waited for.
            if held is None or self._judge(held, wanted) is Freshness.NOTHING:
                token = await self._bridged(caller, right, error)
            else:
                token = held
            log.warning("served_while_unavailable", why=error.sentence, jti=token.jti)
        now = self._clock.now()
        if token.seconds_left(now) < wanted.floor_seconds:
            raise _too_short(wanted)
        event = "delivery" if token is held else "mint"
        await self._audit.record(event, **about(caller), **_traces(token, grant, right))
        spread = self._entropy.fraction()
        back_at = renew_at(token, self._rules.renew_after, spread, now)
        self._held.served(grant.key, grant.line, right, (back_at - now).total_seconds())
        return Minted(token, grant.key.issuer, back_at)

    async def right_of(self, caller: Caller, wanted: Wanted) -> Right:
        """Return what the caller would get for this wish, without fetching a token for it."""
        grant, _ = await self.grant_of(caller)
        return await self._right(caller, grant, wanted)

    async def grant_of(
        self, caller: Caller, *, oldest: float = FRESH_SECONDS
    ) -> tuple[Grant, bool]:
        """Return the caller's grant, and whether that is so by the store's word.

        It was read within the last `oldest` seconds, unless the store is away: what is refreshed
        meanwhile does not show. Raises `LeaseEnded` if the person logged out since the lease was
        made, or was contained since the login was; `NotFound` if the login that made the lease has
        stored no grant yet.
        """
        lease = caller.lease
        left = caller.seconds_left(self._clock.elapsed())
        grant, fresh = await self._known.at(lease.key, left, line=lease.line, oldest=oldest)
        if grant is None or (grant.line != lease.line and lease.created_at > grant.created_at):
            raise NotFound("No login is stored here.", "Log in with: credbroker login")
        if grant.line != lease.line:
            raise LeaseEnded("This login was ended by a logout.")
        if grant.state is GrantState.ENDED:
            raise why_lost(grant)  # by a logout, or because nobody used it
        self._leasing.check_proof(grant)
        return grant, fresh

    def whole_right(self, grant: Grant) -> Right:
        """Return all that a grant gives at its issuer, which is what it is refreshed for.

        Raises `NotFound` if its role is not served any more.
        """
        role = self._audiences(grant)
        # Where tokens are signed here, the role's audiences are theirs, and not the issuer's.
        granted = Right(grant.scopes, () if self._is_signed_here(grant) else role)
        return self._narrowed(grant, granted, Ceiling(), Wanted())

    def narrows_by_refresh(self, grant: Grant) -> bool:
        """True if each token for less than the whole right takes a use of the refresh token."""
        return self._narrowing.way(grant.key.issuer) is Way.REFRESH

    async def renew_ahead(self, wish: Wish, seconds: float) -> None:
        """Fetch anew what somebody lives on, waiting at most `seconds`. Raises as minting does."""
        grant, _ = await self._known.at(wish.key, seconds, oldest=FRESH_SECONDS)
        if grant is None or grant.line != wish.line or grant.state is GrantState.ENDED:
            return
        await self._get(grant, wish, seconds)

    async def announce(self, grant: Grant) -> None:
        """Have every replica look at a grant again that is about to end; see `KnownGrants.announce`."""
        await self._known.announce(grant.key)

    def forget(self, grant: Grant) -> None:
        """Drop what is remembered of a grant whose person has logged out; `grant` is its tombstone."""
        self._known.learn(grant)
        self._held.forget(grant.line)
        self._refreshing.forget(grant.line)

    def _at_hand(self, grant: Grant, right: Right) -> AccessToken | None:
        held = self._held.get(grant.line, right)
        return held if held is not None and self._narrowing.counts(grant, held) else None

    def _judge(self, held: AccessToken | None, wanted: Wanted) -> Freshness:
        now, floor, fraction = self._clock.now(), wanted.floor_seconds, self._rules.renew_after
        judged = pick(held, floor, fraction, now)
        if judged is Freshness.NOTHING and held is not None and now < due_at(held, fraction):
            life = (held.expires_at - held.obtained_at).total_seconds()
            if life < floor:
                raise _too_short(wanted)  # asking the issuer each time would only wear it out
        return judged

    async def _right(self, caller: Caller, grant: Grant, wanted: Wanted) -> Right:
        ceiling = caller.lease.ceiling
        granted = Right(grant.scopes, self._audiences(grant))
        if self._is_signed_here(grant):
            left = caller.seconds_left(self._clock.elapsed())
            # A token for no audience in particular is none of those that are signed here.
            wanted = replace(wanted, audiences=wanted.audiences or None)
            granted = await self._signable(grant, ceiling, wanted, left)
        return self._narrowed(grant, granted, ceiling, wanted)

    async def _signable(
        self, grant: Grant, ceiling: Ceiling, wanted: Wanted, seconds: float
    ) -> Right:
        """Return the most that is signed here for a person, at the audiences that are in question."""
        role = self._audiences(grant)
        scopes = wanted.scopes if wanted.scopes is not None else ceiling.scopes
        asked = Asked(scopes, wanted.audiences or ceiling.audiences or role or None)
        most = await self._narrowing.most(grant, self.whole_right(grant), asked, seconds)
        if not most.within(Right(most.scopes, role)):
            raise OutsideCeiling("An audience asked for is outside the role.")
        return most

    async def _mint_about(self, caller: Caller, wanted: Wanted) -> Minted:
        """Return a token about a user of the caller's host, new each time."""
        check_login(caller.lease)
        await self._leasing.confirm(caller)
        grant, _ = await self.grant_of(caller)
        left, whole = caller.seconds_left(self._clock.elapsed()), self.whole_right(grant)
        audiences = caller.lease.ceiling.audiences or self._audiences(grant) or None
        ceiling = Ceiling(caller.lease.ceiling.scopes, audiences)
        token = await self._narrowing.about(grant, whole, ceiling, wanted, left)
        now = self._clock.now()
        if token.seconds_left(now) < wanted.floor_seconds:
            raise _too_short(wanted)
        right = Right(token.scopes, token.audiences)
        await self._audit.record("mint", **about(caller), **_traces(token, grant, right))
        back_at = renew_at(token, self._rules.renew_after, self._entropy.fraction(), now)
        return Minted(token, grant.key.issuer, back_at)

    def _is_signed_here(self, grant: Grant) -> bool:
        return self._narrowing.way(grant.key.issuer) is Way.MINT

    def _narrowed(self, grant: Grant, granted: Right, ceiling: Ceiling, wanted: Wanted) -> Right:
        if wanted.audiences is None and (grant.key.issuer, grant.key.role) in self._rules.only_one:
            first = (ceiling.audiences or granted.audiences)[:1]
            wanted = replace(wanted, audiences=first or None)
        return attenuate(granted, ceiling, wanted)

    def _audiences(self, grant: Grant) -> tuple[str, ...]:
        try:
            return self._rules.audiences[grant.key.issuer, grant.key.role]
        except KeyError:
            raise NotFound(
                f"The role {grant.key.role!r} of issuer {grant.key.issuer!r} is not served any more."
            ) from None

    async def _bridged(
        self, caller: Caller, right: Right, error: Unavailable | GrantPaused
    ) -> AccessToken:
        """Return what may be signed while the issuer is out; else raise the `error` it is out by."""
        bridge = self._bridges.get(caller.lease.key.issuer)
        if bridge is None or isinstance(error, GrantPaused):
            raise error
        grant, fresh = await self.grant_of(caller)
        token = await bridge.token(grant, right) if fresh else None
        if token is None:
            raise error
        return token

    async def _await_store(self, caller: Caller, judged: Freshness) -> None:
        """Return once the store says that the caller may fetch; who has a token does not wait.

        The grant is read, or its version compared, before it is used.
        """
        if judged is Freshness.USABLE:
            raise StoreUnavailable("OpenBao/Vault does not answer, so nothing new is fetched.")
        await self._leasing.confirm(caller)

    async def _fetch(
        self, caller: Caller, grant: Grant, right: Right, floor_seconds: float
    ) -> AccessToken:
        wish = Wish(grant.key, grant.line, right)
        if self._is_signed_here(grant):
            # A refusal that the keeper or another replica was told stands in the record only.
            grant, _ = await self.grant_of(caller)
        left = caller.seconds_left(self._clock.elapsed())
        token = await self._get(grant, wish, left)
        life = (token.expires_at - token.obtained_at).total_seconds()
        if token.seconds_left(self._clock.now()) < floor_seconds <= life:
            # It is another replica's, and was fetched for a caller who needs less of it.
            left = caller.seconds_left(self._clock.elapsed())
            token = await self._get(grant, wish, left)
        return token

    async def _get(self, grant: Grant, wish: Wish, seconds: float) -> AccessToken:
        whole = self.whole_right(grant)
        try:
            if wish.right == whole and not self._is_signed_here(grant):
                return await self._refreshing.refresh(wish, seconds)
            return await self._narrowing.fetch(wish, grant, whole, seconds)
        finally:
            self._known.look_again(grant.key)


def _too_short(wanted: Wanted) -> TooSoonExpired:
    return TooSoonExpired(
        f"The issuer's tokens do not live the {wanted.floor_seconds} s that were asked for."
    )


def _traces(token: AccessToken, grant: Grant, right: Right) -> dict[str, object]:
    return {
        "sub": token.subject,
        "iss": token.issuer_url,
        "client_id": grant.client_id,
        **traces(token),
        "asked_scope": right.scopes,
        "generation": grant.generation,
    }
