"""Stores what follows from a refresh, whatever stands in the way (promise 2).

Written until it is in: a mismatch is looked into, and a successor goes over everything but a later
one. What Vault does not take at once lies sealed in the spool meanwhile, so that the death of this
process loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.newest import Newest
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.running import Means, served
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import about, names
from credbroker.domain import rotation
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import Busy, CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import NotActedOn, Outcome, Renewed
from credbroker.domain.retry import backoff_seconds
from credbroker.domain.secret import Secret
from credbroker.ports import Issuer, RecordStore, Spool, StaleVersionError, Stored, Waypoint

LOOK_AGAIN_SECONDS = 0.2
# What Vault has not taken by then goes to the spool as well.
SPOOL_AFTER_SECONDS = 0.25
LONGEST_STORE_PAUSE_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim of ours as it was stored, and when we began it (`Clock.elapsed`)."""

    stored: Stored[Grant]
    begun_at: float
    right: Right | None = None

    @property
    def grant(self) -> Grant:
        """The record with our claim in it."""
        return self.stored.value


class Successors:
    """Takes every record that follows from a claim to its place."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        issuers: Mapping[str, Issuer],
        spool: Spool,
        marks: IssuerMarks,
        *,
        rewinding: Rewinding,
        noted: Callable[[Grant], None],
        means: Means,
    ) -> None:
        """Store into `grants`, beside it into `spool`; `noted` is told of each record stored."""
        self._grants = grants
        self._issuers = issuers
        self._spool = spool
        self._marks = marks
        self._noted = noted
        self.newest = Newest(rewinding, means.clock)
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._waypoints = means.waypoints

    async def give_back(self, claimed: Claimed, why: CredbrokerError) -> Grant:
        """Have the record as it was before a claim that was never confirmed; see `follow`."""
        return await self.follow(claimed, NotActedOn(why), confirmed=False)

    async def follow(
        self,
        claimed: Claimed,
        outcome: Outcome,
        *,
        believed: bool = True,
        confirmed: bool = True,
    ) -> Grant:
        """Store and return what follows from the outcome; never give up while it is a successor.

        Raises `Busy` if a later write, of a logout or a new login, had taken the place.
        """
        key = claimed.grant.key
        rule = self._marks.rule(key.issuer)
        seconds = self._clock.elapsed() - claimed.begun_at
        after = rotation.settle(
            claimed.grant,
            outcome,
            rule,
            self._entropy.token(16),
            self._clock.now(),
            right=claimed.right,
            believed=believed,
            seconds=seconds,
        )
        if not confirmed:
            after = rotation.unclaimed(after, claimed.grant)
        if after.generation > claimed.grant.generation:
            await self._store_successor(claimed, after)
        else:
            await self._store(claimed, after)
        await self._waypoints.reach(Waypoint.STORED)
        await self._audit.record(
            "refresh" if isinstance(outcome, Renewed) else "refresh_failed",
            **about(after),
            state=after.state.value,
            why=None if isinstance(outcome, Renewed) else outcome.error.sentence,
        )
        if after.rotated and rule.kind is rotation.UnclearRule.RETRY_SAFE:
            log.error("issuer_rotates_after_all", issuer=key.issuer)
            await self._marks.note_rotation(key.issuer)
        return after

    async def revoke(self, key: GrantKey, refresh_token: Secret) -> None:
        """Have the grant's issuer revoke a refresh token; raise `IssuerUnreachable` and its like."""
        await served(self._issuers, key.issuer).revoke(refresh_token)

    async def revoke_superseded(self, ours: Grant, there: Grant) -> bool:
        """Have a successor revoked whose place is taken; False if it must live.

        Where an issuer ties a person's logins together, revoking one would end the other: then
        only a logout that no login followed lets it be revoked.
        """
        issuer = self._issuers.get(ours.key.issuer)
        ended = there.state is GrantState.ENDED
        if issuer is None or ours.refresh_token is None or not (ended or issuer.revoke_replaced):
            return False
        if ours.issuer_url != issuer.url:
            return False  # what one issuer gave is never sent to another
        if ours.login_id and ours.login_id == there.login_id and not ended:
            return False  # of the same login: the issuer would end what lives of it
        await issuer.revoke(ours.refresh_token)
        return True

    async def write(self, segment: str, grant: Grant, version: int) -> bool:
        """Write a record; False while the store does not say. Raises `StaleVersionError`."""
        try:
            written = await put_surely(
                self._grants,
                segment,
                grant,
                version,
                is_ours=lambda found: found.write_id == grant.write_id,
            )
        except CredbrokerError as error:
            log.warning("not_stored_yet", grant=segment, why=error.sentence)
            return False
        self._noted(grant)
        if grant.state is GrantState.READY:
            self.newest.remember(segment, grant, written)
        return True

    async def found(self, segment: str) -> Stored[Grant] | None:
        """Return the record, however long the store takes to answer."""
        while True:
            try:
                return await self._grants.get(segment)
            except CredbrokerError:
                await self._clock.sleep(LOOK_AGAIN_SECONDS)

    async def _store_successor(self, claimed: Claimed, after: Grant) -> None:
        """Store it; into the spool, too, if that takes longer than a moment.

        A spool that hangs holds nobody up: what Vault took is stored.
        """
        storing = self._deeds.begin(self._store(claimed, after), "store a successor")
        if await self._deeds.is_done(storing, SPOOL_AFTER_SECONDS):
            spooling = None
        else:
            spooling = self._deeds.begin(self._spooled(after), "spool a successor")
        try:
            await storing
        except _OutpacedError as outpaced:
            if outpaced.revoked or await self._is_outranked(after):
                self._drop_once_kept(spooling)
            elif spooling is None:
                # Kept, sealed, until a later one is stored: it may yet be wanted.
                await self._spooled(after)
            raise
        self._drop_once_kept(spooling)

    def _drop_once_kept(self, spooling: asyncio.Task[str | None] | None) -> None:
        if spooling is not None:
            self._deeds.begin(self._drop(spooling), "wipe a spooled successor")

    async def _drop(self, spooling: asyncio.Task[str | None]) -> None:
        entry = await spooling
        if entry is not None:
            await self._spool.drop(entry)

    async def _spooled(self, after: Grant) -> str | None:
        try:
            entry = await self._spool.keep(after)
        except CredbrokerError as error:
            # Vault is still being asked; only the death of this process would lose it now.
            log.error("not_spooled", grant=after.key.segment(), why=error.sentence)  # noqa: TRY400
            return None
        await self._waypoints.reach(Waypoint.SPOOLED)
        return entry

    async def _is_outranked(self, after: Grant) -> bool:
        stored = await self.found(after.key.segment())
        return stored is not None and outranks(stored.value, after)

    async def _store(self, claimed: Claimed, after: Grant) -> None:
        version, failures = claimed.stored.version, 0
        settled_at, doubt = self._clock.elapsed(), after.doubt_seconds
        segment = after.key.segment()
        while True:
            if doubt:
                # The record's age will count from its write; a grace runs on while it waits.
                waited = self._clock.elapsed() - settled_at
                after = replace(after, doubt_seconds=doubt + waited)
            try:
                if await self.write(segment, after, version):
                    return
                failures += 1
                pause = backoff_seconds(failures, self._entropy.fraction())
                await self._clock.sleep(min(pause, LONGEST_STORE_PAUSE_SECONDS))
            except StaleVersionError:
                there = await self.found(segment)
                if there is None:
                    version = 0  # a restored snapshot may know nothing of it
                elif rotation.may_replace(after, there.value, claimed.grant):
                    version = there.version
                else:
                    is_successor = after.generation > claimed.grant.generation
                    await self._superseded(after, there.value, is_successor=is_successor)
                    return

    async def _superseded(self, after: Grant, there: Grant, *, is_successor: bool) -> None:
        """Let go of what lost its place; have a successor revoked, or it stays in the spool."""
        if there.refresh_token == after.refresh_token and after.refresh_token is not None:
            return  # at an issuer that gives the same value back, another replica stored it
        log.error("successor_superseded", grant=after.key.segment(), state=after.state.value)
        revoked = False
        if after.state is GrantState.READY and is_successor:
            try:
                revoked = await self.revoke_superseded(after, there)
            except CredbrokerError as error:
                log.error("superseded_not_revoked", why=error.sentence)  # noqa: TRY400
        await self._audit.record(
            "successor_superseded",
            **names(after.key),
            revoked=revoked,
        )
        raise _OutpacedError(revoked=revoked)


class _OutpacedError(Busy):
    def __init__(self, *, revoked: bool) -> None:
        super().__init__("A logout or a new login came before this refresh was stored; ask again.")
        self.revoked = revoked


def outranks(there: Grant, ours: Grant) -> bool:
    """True if what is stored makes our successor needless: it is there, or a later one, or an end."""
    if there.line != ours.line or there.state is GrantState.ENDED:
        return True
    same = there.refresh_token is not None and there.refresh_token == ours.refresh_token
    return there.generation > ours.generation or (same and there.generation == ours.generation)
