"""Uses a refresh token, once, and keeps its successor.

The order is the whole point (promises 2 and 3): the connection stands, the claim is stored, the
first byte goes out, the successor is stored, and only then is the access token checked and held for
anybody to see. Callers who want the same right share one refresh; for one grant there is never more
than one at a time. A refresh that takes longer than its callers wait still ends with a held token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from credbroker.broker.holding import HeldTokens
from credbroker.broker.resting import Rests
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.domain import rotation
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    Busy,
    ClientRejected,
    CredbrokerError,
    IssuerFailed,
    IssuerGaveLess,
    IssuerMisbehaved,
    IssuerUnreachable,
    LeaseEnded,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.retry import backoff_seconds
from credbroker.domain.rotation import (
    Judgement,
    NotActedOn,
    Outcome,
    Renewed,
    Unclear,
    UnclearRule,
)
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken, check_issued
from credbroker.ports import Issuer, RecordStore, StaleVersionError, Stored

LOOK_AGAIN_SECONDS = 0.2
# A claim that took longer than this to store is given back unused: its time may be up.
CLAIM_MUST_STORE_SECONDS = 15.0
LONGEST_STORE_PAUSE_SECONDS = 5.0
# An issuer that answered with the wrong token is not asked for the same one again so soon.
UNFIT_PAUSE_SECONDS = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to refresh: a grant, the line that the caller's lease belongs to, and the right wanted."""

    key: GrantKey
    line: str
    right: Right


class Refreshing:
    """All use of refresh tokens in this process goes through one of these."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        issuers: Mapping[str, Issuer],
        held: HeldTokens,
        means: Means,
        replica: str,
    ) -> None:
        """Refresh `grants` at `issuers`, by name, into `held`; `replica` names us in claims."""
        self._grants = grants
        self._issuers = issuers
        self._held = held
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._replica = replica
        self._locks: WeakValueDictionary[GrantKey, asyncio.Lock] = WeakValueDictionary()
        self._running: dict[Wish, asyncio.Task[AccessToken]] = {}
        self._resting_issuers = Rests[str](means.clock, means.entropy)
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

    def alone_with(self, key: GrantKey) -> asyncio.Lock:
        """Hold off every other use of this grant in this process while the lock is held."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def settled(self, key: GrantKey, line: str) -> Stored[Grant]:
        """Return the grant once no replica has a claim on it, having settled one left behind.

        Raises `LeaseEnded` if it is gone, or belongs to another line of logins.
        """
        issuer = self._issuer(key.issuer)
        while True:
            stored = await self._grants.get(key.segment())
            if stored is None or stored.value.line != line:
                raise LeaseEnded("This login was ended by a logout.")
            if stored.value.state is not GrantState.CLAIMED:
                return stored
            judged = rotation.judge(stored.value, stored.age_seconds, issuer.claim_seconds)
            if judged is Judgement.WAIT:
                await self._clock.sleep(LOOK_AGAIN_SECONDS)
            else:
                await self._settle_left_claim(stored, issuer)

    async def revoke(self, key: GrantKey, refresh_token: Secret) -> None:
        """Have the grant's issuer revoke a refresh token; raise `IssuerUnreachable` and its like."""
        await self._issuer(key.issuer).revoke(refresh_token)

    async def _refresh(self, wish: Wish) -> AccessToken:
        async with self.alone_with(wish.key):
            while True:
                stored = await self.settled(wish.key, wish.line)
                try:
                    claimed, outcome = await self._use(stored, wish.right)
                    break
                except StaleVersionError:
                    continue  # another replica was first; look again
            after = await self._settle(claimed, outcome)
        if isinstance(outcome, Renewed):
            return await self._checked(wish, claimed.value, outcome.access_token)
        # Who must log in again is told so by the first answer, not by the next.
        raise outcome.error if after.state is GrantState.READY else rotation.why_lost(after)

    async def _checked(self, wish: Wish, grant: Grant, value: Secret) -> AccessToken:
        """Hold the issuer's answer against what was asked, and keep it at hand if it fits."""
        issuer = self._issuer(grant.key.issuer)
        try:
            token = await issuer.verify_access_token(value)
            now = self._clock.now()
            check_issued(token, wish.right, issuer_url=issuer.url, subject=grant.subject, now=now)
        except (IssuerMisbehaved, IssuerGaveLess) as error:
            self._unfit.rest(wish, error, UNFIT_PAUSE_SECONDS)
            raise
        self._held.put(wish.line, wish.right, token)
        return token

    async def _use(self, stored: Stored[Grant], right: Right) -> tuple[Stored[Grant], Outcome]:
        """Claim the grant on an open connection, then post; both in this order or neither."""
        grant = stored.value
        if grant.state is not GrantState.READY or grant.refresh_token is None:
            raise rotation.why_lost(grant)
        issuer = self._issuer(grant.key.issuer)
        if grant.client_id != issuer.client_id:
            raise ClientRejected("This login was made through another client_id than is set now.")
        if len(outside := grant.scopes.missing(right.scopes)):
            raise OutsideCeiling(f"Outside the grant as it is now: {outside}.")
        self._resting_issuers.check(grant.key.issuer)
        self._resting_grants.check(grant.key)
        # Before the claim: if the trail cannot be written, no refresh token is spent.
        await self._audit.record("refresh_begun", **_about(grant))
        claimed: Stored[Grant] | None = None

        async def claim() -> None:
            nonlocal claimed
            claimed = await self._claim(stored)

        try:
            outcome = await issuer.refresh(grant.refresh_token, right, claim)
        except IssuerUnreachable as error:
            self._note(grant.key, error)
            if claimed is None:
                raise
            outcome = NotActedOn(error)  # by the port's word: raised means that nothing was sent
        except Exception as error:
            if claimed is None:
                raise
            # Whatever broke, a post may have gone out; what broke on one answer is no outage.
            log.exception("refresh_broke", grant=grant.key.segment())
            outcome = Unclear(IssuerMisbehaved(f"A refresh broke off ({type(error).__name__})."))
        if claimed is None:
            raise StoreUnavailable("A refresh went out without its claim: this must not happen.")
        failed = None if isinstance(outcome, Renewed) else outcome.error
        self._note(grant.key, failed)
        return claimed, outcome

    async def _claim(self, stored: Stored[Grant]) -> Stored[Grant]:
        started = self._clock.elapsed()
        write_id = self._entropy.token(16)
        grant = rotation.claim(stored.value, self._replica, write_id)
        try:
            version = await put_surely(
                self._grants,
                grant.key.segment(),
                grant,
                stored.version,
                is_ours=lambda found: found.write_id == write_id,
            )
        except StoreUnclear as error:
            unused = NotActedOn(error)
            self._deeds.begin(self._give_back(stored, grant, unused), "give a claim back")
            raise
        claimed = Stored(grant, version, 0.0)
        if self._clock.elapsed() - started > CLAIM_MUST_STORE_SECONDS:
            unused = NotActedOn(StoreUnavailable("Storing a claim took too long."))
            await self._settle(claimed, unused)
            raise unused.error
        return claimed

    async def _give_back(self, before: Stored[Grant], claim: Grant, unused: NotActedOn) -> None:
        """Undo a claim that may have been stored, or may yet be: nothing was sent.

        The record is written once more as it was, at the version that the claim wants: whichever
        of the two comes first, the other one can never land.
        """
        segment = claim.key.segment()
        as_before = replace(before.value, write_id=self._entropy.token(16))
        try:
            while not await self._written(segment, as_before, before.version):
                await self._clock.sleep(LOOK_AGAIN_SECONDS)
            return
        except StaleVersionError:
            found = await self._found(segment)
        if found is not None and found.value.write_id == claim.write_id:
            await self._settle(found, unused)

    async def _written(self, segment: str, grant: Grant, version: int) -> bool:
        """Write a record; False while the store does not say. Raises `StaleVersionError`."""
        try:
            await put_surely(
                self._grants,
                segment,
                grant,
                version,
                is_ours=lambda found: found.write_id == grant.write_id,
            )
        except CredbrokerError as error:
            log.warning("not_stored_yet", grant=segment, why=error.sentence)
            return False
        return True

    async def _settle(self, claimed: Stored[Grant], outcome: Outcome) -> Grant:
        """Store and return what follows from the outcome; never give up while it is a successor.

        Raises `Busy` if a later write, of a logout or a new login, had taken the place.
        """
        issuer = self._issuer(claimed.value.key.issuer)
        write_id = self._entropy.token(16)
        after = rotation.settle(
            claimed.value, outcome, issuer.unclear_rule, write_id, self._clock.now()
        )
        await self._store(claimed, after)
        renewed = isinstance(outcome, Renewed)
        await self._audit.record(
            "refresh" if renewed else "refresh_failed",
            **_about(after),
            state=after.state.value,
            why=None if isinstance(outcome, Renewed) else outcome.error.sentence,
        )
        if after.rotated and issuer.unclear_rule is UnclearRule.RETRY_SAFE:
            log.error("issuer_rotates_after_all", issuer=after.key.issuer)
        return after

    async def _store(self, claimed: Stored[Grant], after: Grant) -> None:
        version, failures = claimed.version, 0
        segment = after.key.segment()
        while True:
            try:
                if await self._written(segment, after, version):
                    return
                failures += 1
                pause = backoff_seconds(failures, self._entropy.fraction())
                await self._clock.sleep(min(pause, LONGEST_STORE_PAUSE_SECONDS))
            except StaleVersionError:
                found = await self._found(segment)
                if found is None or not _may_replace(after, found.value, claimed.value):
                    await self._superseded(after, found)
                    return
                version = found.version

    async def _found(self, segment: str) -> Stored[Grant] | None:
        while True:
            try:
                return await self._grants.get(segment)
            except CredbrokerError:
                await self._clock.sleep(LOOK_AGAIN_SECONDS)

    async def _superseded(self, after: Grant, found: Stored[Grant] | None) -> None:
        """Let go of what lost its place, and have a successor revoked; what is still kept stays."""
        if found is not None and found.value.refresh_token == after.refresh_token:
            return  # at an issuer that gives the same value back, another replica stored it
        log.error("successor_superseded", grant=after.key.segment(), state=after.state.value)
        revoked = False
        if after.state is GrantState.READY and after.refresh_token is not None:
            try:
                await self.revoke(after.key, after.refresh_token)
                revoked = True
            except CredbrokerError as error:
                log.error("superseded_not_revoked", why=error.sentence)  # noqa: TRY400
        await self._audit.record(
            "successor_superseded",
            issuer=after.key.issuer,
            credkey=after.key.credkey,
            role=after.key.role,
            revoked=revoked,
        )
        raise Busy("A logout or a new login came before this refresh was stored; ask again.")

    async def _settle_left_claim(self, stored: Stored[Grant], issuer: Issuer) -> None:
        settled = rotation.settle_left_claim(
            stored.value, issuer.unclear_rule, self._entropy.token(16)
        )
        try:
            await put_surely(
                self._grants,
                settled.key.segment(),
                settled,
                stored.version,
                is_ours=lambda found: found.write_id == settled.write_id,
            )
        except StaleVersionError:
            return  # its owner, or another replica, was quicker
        await self._audit.record(
            "claim_left_behind",
            issuer=settled.key.issuer,
            credkey=settled.key.credkey,
            state=settled.state.value,
            owner=stored.value.claimed_by,
        )

    def _issuer(self, name: str) -> Issuer:
        try:
            return self._issuers[name]
        except KeyError:
            raise NotFound(f"The issuer {name!r} is not served here any more.") from None

    def _note(self, key: GrantKey, error: CredbrokerError | None) -> None:
        """Let the issuer rest if it is away, and the grant alone if only its request failed."""
        if isinstance(error, IssuerUnreachable):
            self._resting_issuers.rest(key.issuer, error)
        else:
            self._resting_issuers.wake(key.issuer)
        if isinstance(error, IssuerFailed):
            self._resting_grants.rest(key, error)
        else:
            self._resting_grants.wake(key)


def _may_replace(ours: Grant, found: Grant, claimed: Grant) -> bool:
    """True if our record knows more than the one found.

    That is: a higher generation, still our claim, or the doubt that another replica wrote over our
    claim because it grew old.
    """
    if ours.line != found.line or found.generation > claimed.generation:
        return False
    in_doubt = found.state is GrantState.IN_DOUBT
    return in_doubt or ours.generation > found.generation or found.write_id == claimed.write_id


def _about(grant: Grant) -> dict[str, object]:
    return {
        "issuer": grant.key.issuer,
        "credkey": grant.key.credkey,
        "role": grant.key.role,
        "sub": grant.subject,
        "client_id": grant.client_id,
        "generation": grant.generation,
    }
