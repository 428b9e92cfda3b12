"""Claims: the mark in Vault that a refresh token may have been posted.

Its age is Vault's own; no replica's clock decides. The order is: the connection stands, the claim is
stored, Vault is found to be no older than it was, the owner looks at its deadline, the first byte
goes out. A claim whose owner posted nothing
is given back; one whose owner is gone is settled by the issuer's rule and never taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.outages import Watched
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.custody.successors import LOOK_AGAIN_SECONDS, Claimed, Successors
from credbroker.broker.running import Means, served
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import names
from credbroker.domain import rotation
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import unused_seconds
from credbroker.domain.losses import why_lost
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import NotActedOn
from credbroker.domain.rotation import Custody, Judgement
from credbroker.ports import Issuer, StaleVersionError, Stored, Waypoint

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A grant as read, free to be claimed, and when it was read (`Clock.elapsed`)."""

    stored: Stored[Grant]
    read_at: float
    remembered: bool = False
    """True if this is what this process stored last, not what Vault says now."""

    @property
    def grant(self) -> Grant:
        """The record."""
        return self.stored.value

    def age_seconds(self, elapsed: float) -> float:
        """Return the record's age by Vault's clock, at `elapsed` of ours."""
        return self.stored.age_seconds + elapsed - self.read_at


class Claiming:
    """All claims of this process."""

    def __init__(
        self,
        grants: Watched[Grant],
        issuers: Mapping[str, Issuer],
        successors: Successors,
        marks: IssuerMarks,
        custody: Custody,
        *,
        rewinding: Rewinding,
        means: Means,
        replica: str,
    ) -> None:
        """Claim in `grants` as `replica`; how long a claim is good, `custody` says."""
        self._grants = grants
        self._issuers = issuers
        self._successors = successors
        self._marks = marks
        self._custody = custody
        self._rewinding = rewinding
        self._deeds = means.deeds
        self._audit = means.audit
        self._clock = means.clock
        self._entropy = means.entropy
        self._waypoints = means.waypoints
        self._replica = replica

    async def settled(self, key: GrantKey, line: str, *, resting: bool = False) -> Found:
        """Return the grant once nobody has a claim on it, having settled one left behind.

        With `resting` it is returned in whatever state it rests; else it may be claimed, or the
        `GrantLost` error is raised that says why not. Raises `LeaseEnded` if it is gone, or belongs
        to another line of logins.
        """
        while True:
            read_at = self._clock.elapsed()
            stored = self._successors.newest.take(key.segment())
            remembered = stored is not None and not resting and stored.value.line == line
            if not remembered:
                stored = await self._grants.get(key.segment())
            if stored is None or stored.value.line != line:
                raise LeaseEnded("This login was ended by a logout.")
            if resting and stored.value.state is not GrantState.CLAIMED:
                return Found(stored, read_at)
            judged = self._judge(stored)
            if judged is Judgement.GO:
                return Found(stored, read_at, remembered)
            if judged is Judgement.WAIT:
                await self._clock.sleep(LOOK_AGAIN_SECONDS)
            else:
                await self._settle_left_claim(stored)

    async def claim(self, found: Found, right: Right, *, kept: bool) -> Claimed:
        """Store our claim, to ask for `right`; to be called on an open connection.

        Raises `StaleVersionError` if somebody else was first, and `StoreUnavailable` kinds; what is
        raised means that nothing may be sent. `kept` leaves unmarked that somebody used the grant.
        """
        await self._waypoints.reach(Waypoint.CONNECTED)
        begun_at = self._clock.elapsed()
        age = found.age_seconds(begun_at)
        self._check_retry(found.grant, age)
        grant = rotation.claim(found.grant, self._replica, self._entropy.token(16), age)
        if kept:
            grant = replace(grant, unused_seconds=unused_seconds(found.grant, age))
        else:
            grant = replace(grant, used_at=self._clock.now(), unused_seconds=0.0)
        try:
            version = await put_surely(
                self._grants,
                grant.key.segment(),
                grant,
                found.stored.version,
                is_ours=lambda there: there.write_id == grant.write_id,
            )
        except StaleVersionError:
            await self._undo_doubt(grant, begun_at)
            raise
        except StoreUnclear as error:
            giving_back = self._give_back(found.stored, grant, error, begun_at)
            self._deeds.begin(giving_back, "give a claim back")
            raise
        claimed = Claimed(Stored(grant, version, 0.0), begun_at, right)
        await self._waypoints.reach(Waypoint.CLAIMED)
        await self._confirm(claimed)
        if self._clock.elapsed() - begun_at > self._custody.margin_seconds / 2:
            unused = NotActedOn(StoreUnavailable("Storing a claim took too long."))
            await self._successors.follow(claimed, unused)
            raise unused.error
        return claimed

    async def _confirm(self, claimed: Claimed) -> None:
        """Go on only if Vault is no older than it was seen; else our claim stands for no post."""
        try:
            await self._rewinding.confirm(claimed.grant)
        except (CredbrokerError, StaleVersionError) as error:
            unused = StoreUnavailable("OpenBao/Vault changed while a claim was stored.")
            why = error if isinstance(error, CredbrokerError) else unused
            await self._successors.give_back(claimed, why)
            raise

    def _check_retry(self, grant: Grant, age_seconds: float) -> None:
        """The grace may have run out while a place at the issuer was waited for."""
        rule = self._marks.rule(grant.key.issuer)
        in_doubt = grant.state is GrantState.IN_DOUBT
        if in_doubt and not rotation.may_retry(grant, age_seconds, rule):
            raise why_lost(grant)

    def _judge(self, stored: Stored[Grant]) -> Judgement:
        issuer = served(self._issuers, stored.value.key.issuer)
        rule = self._marks.rule(stored.value.key.issuer)
        claim_seconds = self._custody.claim_seconds(rule.timeout_seconds(issuer.refresh_seconds))
        judged = rotation.judge(
            stored.value, stored.age_seconds, rule, self._custody, claim_seconds
        )
        spools_first = self._grants.outages.seconds_since() < self._custody.spools_first_seconds
        return Judgement.WAIT if judged is Judgement.SETTLE and spools_first else judged

    async def _give_back(
        self, before: Stored[Grant], claim: Grant, why: CredbrokerError, begun_at: float
    ) -> None:
        """Undo a claim that may have been stored, or may yet be: nothing was sent.

        The record is written once more as it was, at the version that the claim wants: whichever
        of the two comes first, the other one can never land.
        """
        segment = claim.key.segment()
        as_before = replace(before.value, write_id=self._entropy.token(16))
        try:
            while True:
                if as_before.state is GrantState.IN_DOUBT:
                    # The doubt is no younger for being written once more.
                    doubt = claim.doubt_seconds + self._clock.elapsed() - begun_at
                    as_before = replace(as_before, doubt_seconds=doubt)
                if await self._successors.write(segment, as_before, before.version):
                    return
                await self._clock.sleep(LOOK_AGAIN_SECONDS)
        except StaleVersionError:
            found = await self._successors.found(segment)
        if found is not None and found.value.write_id == claim.write_id:
            await self._successors.give_back(Claimed(found, self._clock.elapsed()), why)
        else:
            await self._undo_doubt(claim, begun_at)

    async def _undo_doubt(self, claim: Grant, begun_at: float) -> None:
        """If our claim was stored, and put in doubt before we knew of it: nothing was posted."""
        found = await self._successors.found(claim.key.segment())
        if found is None or found.value.claim_id != claim.write_id:
            return
        if found.value.state is GrantState.IN_DOUBT and found.value.posts == claim.posts:
            ours = Claimed(Stored(claim, found.version, 0.0), begun_at)
            why = StoreUnavailable("A claim was put in doubt before it was used.")
            await self._successors.give_back(ours, why)

    async def _settle_left_claim(self, stored: Stored[Grant]) -> None:
        await self._waypoints.reach(Waypoint.SETTLING)
        settled = rotation.settle_left_claim(
            stored.value,
            self._marks.rule(stored.value.key.issuer),
            self._entropy.token(16),
            stored.age_seconds,
        )
        try:
            await put_surely(
                self._grants,
                settled.key.segment(),
                settled,
                stored.version,
                is_ours=lambda there: there.write_id == settled.write_id,
            )
        except StaleVersionError:
            return  # its owner, or another replica, was quicker
        await self._audit.record(
            "claim_left_behind",
            **names(settled.key),
            state=settled.state.value,
            owner=stored.value.claimed_by,
        )
