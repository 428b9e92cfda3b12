"""Uses a refresh token, once, and keeps its successor.

The order is the whole point (promises 2 and 3): a place at the issuer is free, no revocation speaks
against it, the connection stands, the claim is stored, Vault is no older than it was, the first byte
goes out, the successor is stored, and only then is the access token checked and held for anybody to
see. Callers who want the same right share one refresh; for one grant there is never more than one at
a time. A refresh that takes longer than its callers wait still ends with a held token.

Tokens of an issuer whose people are signed for here are proofs, and are held apart: what callers are
served from never has one, whatever right it came for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import structlog

from credbroker.broker.containing import Containing
from credbroker.broker.custody.claiming import Claiming, Found
from credbroker.broker.custody.gate import LONGEST_SPARED_SECONDS, Gates, spared_seconds
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.resting import Rests
from credbroker.broker.custody.successors import Claimed, Successors
from credbroker.broker.holding import HeldTokens
from credbroker.broker.running import Means, served
from credbroker.broker.trail import about
from credbroker.domain import rotation
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    IssuerFailed,
    IssuerGaveLess,
    IssuerMisbehaved,
    IssuerUnreachable,
    LeaseEnded,
    OutsideCeiling,
    StoreUnavailable,
)
from credbroker.domain.freshness import due_at
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import why_lost
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken, check_issued, check_proof
from credbroker.ports import Issuer, StaleVersionError, Stored, Waypoint

# An issuer that answered with the wrong token is not asked for the same one again so soon.
UNFIT_PAUSE_SECONDS = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to refresh: a grant, the line that the caller's lease belongs to, and the right wanted.

    `kept` says that no caller but the keeper asks: nobody counts as having used the grant.
    """

    key: GrantKey
    line: str
    right: Right
    kept: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Custodians:
    """Who must agree before a refresh token is posted, and who takes care of what comes back."""

    claiming: Claiming
    successors: Successors
    gates: Gates
    marks: IssuerMarks
    containing: Containing


class Refreshing:
    """All use of refresh tokens in this process goes through one of these."""

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        custodians: Custodians,
        held: HeldTokens,
        means: Means,
        *,
        renew_after: float,
        proofs_only: Collection[str] = (),
    ) -> None:
        """Refresh grants at `issuers`, by name, into `held`.

        A token that another replica got is used until `renew_after` (0 to 1) of its life is over.
        Tokens of the issuers in `proofs_only` need not allow anything, and are not put there: nobody
        is given them.
        """
        self._proofs_only = proofs_only
        self._proofs = HeldTokens(means.clock)
        self._renew_after = renew_after
        self._issuers = issuers
        self._claiming = custodians.claiming
        self._successors = custodians.successors
        self._gates = custodians.gates
        self._marks = custodians.marks
        self._containing = custodians.containing
        self._held = held
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._waypoints = means.waypoints
        self._check_clock = means.check_clock
        self._locks: WeakValueDictionary[GrantKey, asyncio.Lock] = WeakValueDictionary()
        self._running: dict[Wish, asyncio.Task[AccessToken]] = {}
        self._resting_grants = Rests[GrantKey](means.clock, means.entropy)
        self._unfit = Rests[Wish](means.clock, means.entropy)

    async def refresh(self, wish: Wish, seconds: float) -> AccessToken:
        """Return a new access token whose refresh token's successor is safely stored.

        Waits at most `seconds`, then raises `Busy` while the refresh goes on. Raises `GrantLost`
        if the person must log in, `Unavailable` if it is worth trying again.
        """
        task = self._running.get(wish)
        if task is None:
            self._unfit.check(wish)  # asking for the same again so soon would spend a token
            task = self._deeds.begin(self._refresh(wish), "refresh")
            self._running[wish] = task
            task.add_done_callback(lambda _: self._running.pop(wish, None))
        return await self._deeds.result(task, seconds)

    def proof(self, line: str, right: Right) -> AccessToken | None:
        """Return what came with the last refresh for this right, where that only proves who it is about."""
        return self._proofs.get(line, right)

    def forget(self, line: str) -> None:
        """Drop what is held as proof of a person who has logged out."""
        self._proofs.forget(line)

    def alone_with(self, key: GrantKey) -> asyncio.Lock:
        """Hold off every other use of this grant in this process while the lock is held."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def settled(self, key: GrantKey, line: str) -> Stored[Grant]:
        """Return the grant once no replica has a claim on it; see `Claiming.settled`."""
        return (await self._claiming.settled(key, line, resting=True)).stored

    async def admit(self, grant: Grant) -> None:
        """Return if no revocation speaks against using this grant; see `Containing.admit`."""
        await self._containing.admit(grant.key, grant.created_at)

    async def revoke(self, key: GrantKey, refresh_token: Secret) -> None:
        """Have the grant's issuer revoke a refresh token; raise `IssuerUnreachable` and its like."""
        await self._successors.revoke(key, refresh_token)

    async def _refresh(self, wish: Wish) -> AccessToken:
        async with self.alone_with(wish.key):
            while True:
                found = await self._claiming.settled(wish.key, wish.line)
                if (token := await self._at_hand(found.grant, wish)) is not None:
                    return token
                try:
                    claimed, outcome = await self._use(found, wish)
                except StaleVersionError:
                    continue  # another replica was first; look again
                except (OutsideCeiling, ClientRejected, LeaseEnded):
                    if not found.remembered:
                        raise
                    continue  # a login since may allow it: look again
                expired = self._has_expired(claimed.grant)
                believed = self._gates.of(wish.key.issuer).believes_dead(expired=expired)
                after = await self._successors.follow(claimed, outcome, believed=believed)
                if not self._is_to_be_retried(after):
                    break
        self._let_rest(after, outcome)
        if isinstance(outcome, Renewed):
            return await self._checked(wish, claimed.grant, outcome.access_token)
        # Who must log in again is told so by the first answer, not by the next.
        raise outcome.error if self._may_go_on(after) else why_lost(after)

    async def _at_hand(self, grant: Grant, wish: Wish) -> AccessToken | None:
        """Return what came with the last refresh, if another replica made it and it is not yet due.

        One that is due is held all the same: it is served if no new one is to be had.
        """
        if wish.kept or grant.access_right != wish.right or grant.access_token is None:
            return None
        kept = self._kept(wish.key.issuer)
        held = kept.get(wish.line, wish.right)
        if held is not None and held.value == grant.access_token:
            return None
        try:
            token = await self.verified(wish, grant, grant.access_token)
        except CredbrokerError:
            return None  # expired, or not what this caller may have: a new one is fetched
        now = self._clock.now()
        token = token.obtained(min(now, grant.refreshed_at))
        kept.put(wish.line, wish.right, token)
        return token if now < due_at(token, self._renew_after) else None

    def _is_to_be_retried(self, after: Grant) -> bool:
        """A grace is short, so its one retry is made at once; other retries wait for a caller."""
        rule = self._marks.rule(after.key.issuer)
        in_doubt = after.state is GrantState.IN_DOUBT
        return in_doubt and rule.kind is UnclearRule.GRACE and rotation.may_retry(after, 0.0, rule)

    def _may_go_on(self, after: Grant) -> bool:
        rule = self._marks.rule(after.key.issuer)
        in_doubt = after.state is GrantState.IN_DOUBT
        return after.state is GrantState.READY or (
            in_doubt and rotation.may_retry(after, 0.0, rule)
        )

    async def _checked(self, wish: Wish, grant: Grant, value: Secret) -> AccessToken:
        """Hold the issuer's answer against what was asked, and keep it at hand if it fits."""
        try:
            token = await self.verified(wish, grant, value)
        except (IssuerMisbehaved, IssuerGaveLess) as error:
            self._unfit.rest(wish, error, UNFIT_PAUSE_SECONDS)
            raise
        self._kept(wish.key.issuer).put(wish.line, wish.right, token)
        return token

    def _kept(self, issuer: str) -> HeldTokens:
        return self._proofs if issuer in self._proofs_only else self._held

    async def verified(self, wish: Wish, grant: Grant, value: Secret) -> AccessToken:
        """Return an issuer's access token once it is known to be for this wish, and no wider.

        Raises `IssuerMisbehaved` and `IssuerGaveLess`.
        """
        issuer = served(self._issuers, grant.key.issuer)
        token = await issuer.verify_access_token(value)
        url, now = issuer.url, self._clock.now()
        if grant.key.issuer in self._proofs_only:
            check_proof(token, issuer_url=url, subject=grant.subject, now=now)
        else:
            check_issued(token, wish.right, issuer_url=url, subject=grant.subject, now=now)
        return token

    async def last_proof(self, grant: Grant) -> AccessToken | None:
        """Return what came with the grant's last refresh, if it is the issuer's; it may have expired."""
        if grant.access_token is None:
            return None
        issuer = served(self._issuers, grant.key.issuer)
        try:
            token = await issuer.verify_access_token(grant.access_token)
        except CredbrokerError:
            return None
        is_it = (token.issuer_url, token.subject) == (issuer.url, grant.subject)
        return token if is_it else None

    async def _use(self, found: Found, wish: Wish) -> tuple[Claimed, Outcome]:
        """Post the grant's refresh token when the issuer has room and Vault is what it was."""
        grant = found.grant
        issuer = served(self._issuers, grant.key.issuer)
        _check_posted_as_granted(grant, issuer, wish.right)
        self._check_clock()  # it would take the token that it gets for expired
        self._resting_grants.check(grant.key)
        gate = self._gates.of(grant.key.issuer)
        async with gate.entered(grant.key):
            await self.admit(grant)
            # Before the claim: if the trail cannot be written, no refresh token is spent.
            await self._audit.record("refresh_begun", **about(grant))
            try:
                claimed, outcome = await self._post(found, wish, issuer)
            except (IssuerUnreachable, IssuerFailed, ClientRejected) as error:
                gate.note(error, grant.key)
                self._resting_grants.rest(grant.key, error)
                raise
            gate.note(outcome, grant.key, expired=self._has_expired(grant))
        return claimed, outcome

    async def _post(self, found: Found, wish: Wish, issuer: Issuer) -> tuple[Claimed, Outcome]:
        """Claim the grant on an open connection, then post; both in this order or neither."""
        claimed: Claimed | None = None

        async def claim() -> None:
            nonlocal claimed
            claimed = await self._claiming.claim(found, wish.right, kept=wish.kept)

        assert found.grant.refresh_token is not None, "what rests without its token is not posted"
        rule = self._marks.rule(wish.key.issuer)
        seconds = rule.timeout_seconds(issuer.refresh_seconds)
        outcome: Outcome
        try:
            outcome = await issuer.refresh(
                found.grant.refresh_token, wish.right, claim, seconds=seconds
            )
        except IssuerUnreachable as error:
            if claimed is None:
                raise
            outcome = NotActedOn(error)  # by the port's word: raised means that nothing was sent
        except Exception as error:
            if claimed is None:
                raise
            # Whatever broke, a post may have gone out; what broke on one answer is no outage.
            log.exception("refresh_broke", grant=found.grant.key.segment())
            outcome = Unclear(IssuerMisbehaved(f"A refresh broke off ({type(error).__name__})."))
        if claimed is None:
            raise StoreUnavailable("A refresh went out without its claim: this must not happen.")
        await self._waypoints.reach(Waypoint.ANSWERED)
        return claimed, outcome

    def _let_rest(self, after: Grant, outcome: Outcome) -> None:
        """Let the grant rest if its own request failed: the next caller must not hammer it."""
        if isinstance(outcome, Renewed):
            self._resting_grants.wake(after.key)
            return
        asked = None
        if isinstance(outcome, NotActedOn | Unclear) and spared_seconds(outcome) is None:
            asked = outcome.retry_after_seconds
        if (
            asked is not None
            or isinstance(outcome, Unclear)
            or isinstance(outcome.error, IssuerFailed | ClientRejected)
            or after.state is GrantState.IN_DOUBT
        ):
            seconds = None if asked is None else min(asked, LONGEST_SPARED_SECONDS)
            self._resting_grants.rest(after.key, outcome.error, seconds)

    def _has_expired(self, grant: Grant) -> bool:
        """True if its refresh token has outlived the time that came with it."""
        expires_at = grant.refresh_expires_at
        return expires_at is not None and self._clock.now() >= expires_at


def _check_posted_as_granted(grant: Grant, issuer: Issuer, right: Right) -> None:
    """A refresh token goes out under the client it was given to, for no more than was granted."""
    if grant.issuer_url != issuer.url:
        raise ClientRejected("This login was made at another issuer address than is set now.")
    if grant.client_id != issuer.client_id:
        raise ClientRejected("This login was made through another client_id than is set now.")
    if len(outside := grant.scopes.missing(right.scopes)):
        raise OutsideCeiling(f"Outside the grant as it is now: {outside}.")
