"""One store, one issuer, one clock, and as many replicas of the broker as a story needs."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from credbroker.broker.custody.refreshing import Refreshing, Wish
from credbroker.broker.ending import Ending
from credbroker.broker.engine import Engine, Rules, SignedHere, Stores, assemble
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.broker.logins.enrolling import Enrolling
from credbroker.broker.logins.taking_in import Enrolment
from credbroker.broker.minting import Minting, MintingRules
from credbroker.broker.running import Deeds, Means, NoWaypoints, no_clock_to_compare
from credbroker.domain.attenuation import Ceiling, Right, Wanted
from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.marks import Heartbeat, IssuerMark, RewindMark
from credbroker.domain.names import GrantKey
from credbroker.domain.narrow import NarrowToken
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.revocations import Revocations
from credbroker.domain.robots import Robots
from credbroker.domain.rotation import Custody, Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SeenNonce, SshKeys
from credbroker.ports import Clock, Waypoints
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.host_marks import FakeHostMarks
from tests.fakes.issuer import FakeIssuer
from tests.fakes.spool import FakeSpool
from tests.fakes.store import MemoryRecords
from tests.unit.broker.stalling import (
    Posts,
    Stall,
    StalledClock,
    StalledIssuer,
    StalledRecords,
    StalledSpool,
)

T = TypeVar("T")

ISSUER = "cms"
ROLE = "default"
KEY = GrantKey(ISSUER, "ada", ROLE)
SEGMENT = KEY.segment()
LINE = "line-1"
GRANTED = ScopeSet.parse("openid offline_access storage.read:/ storage.create:/home compute.read")
READ = Right(ScopeSet.parse("storage.read:/"))
WANT_READ = Wanted(scopes=READ.scopes)
ORIGIN = Origin("192.0.2.7", "request-1")
DAY = 86400.0
GRACE_SECONDS = 90.0


@dataclass(frozen=True)
class Replica:
    """One broker process, as far as the deeds go."""

    name: str
    deeds: Deeds
    engine: Engine

    @property
    def refreshing(self) -> Refreshing:
        """Its refreshes."""
        return self.engine.refreshing

    @property
    def minting(self) -> Minting:
        """Its minting."""
        return self.engine.minting

    @property
    def leasing(self) -> Leasing:
        """Its leases."""
        return self.engine.leasing

    @property
    def enrolling(self) -> Enrolling:
        """Its logins."""
        return self.engine.enrolling

    @property
    def ending(self) -> Ending:
        """Its logouts."""
        return self.engine.ending

    def start(self, deed: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a caller's request beside the test."""
        return self.deeds.begin(deed, "a caller")


class World:
    """All that replicas share."""

    def __init__(self, *, rule: UnclearRule = UnclearRule.ASK, rotates: bool = True) -> None:
        """Build it around an issuer with that rule set by its operator, which rotates or not."""
        self.clock = FakeClock()
        self.entropy = FakeEntropy()
        self.audit = FakeAudit()
        self.grants = MemoryRecords[Grant](self.clock)
        self.leases = MemoryRecords[Lease](self.clock)
        self.logins = MemoryRecords[PendingLogin](self.clock)
        self.issuer_marks = MemoryRecords[IssuerMark](self.clock)
        self.heartbeats = MemoryRecords[Heartbeat](self.clock)
        self.rewind = MemoryRecords[RewindMark](self.clock)
        self.revocations = MemoryRecords[Revocations](self.clock)
        self.narrow = MemoryRecords[NarrowToken](self.clock)
        self.confirmed = MemoryRecords[ConfirmedLogin](self.clock)
        self.ssh_keys = MemoryRecords[SshKeys](self.clock)
        self.seen = MemoryRecords[SeenNonce](self.clock)
        self.robots = MemoryRecords[Robots](self.clock)
        self.spools: dict[str, FakeSpool] = {}
        self._first_spool: FakeSpool | None = None
        self.host_marks = FakeHostMarks()
        self.issuer = FakeIssuer(self.clock, rule=Rule(rule, GRACE_SECONDS), rotates=rotates)
        self.issuer.is_stored = self.was_stored
        self.rules = MintingRules({(ISSUER, ROLE): ()}, renew_after=0.5)
        self.limits = {ISSUER: IssuerLimits(per_second=1000.0, at_once=1000)}
        self.waypoints: Waypoints = NoWaypoints()
        self.signed_here = SignedHere()
        self.check_clock: Callable[[], None] = no_clock_to_compare
        # No outage has just ended here: a left claim need not wait for a spool.
        self.custody = Custody(spools_first_seconds=0.0)

    @property
    def claim_seconds(self) -> float:
        """How old a claim gets before its owner counts as gone."""
        assert self.issuer.rule is not None
        timeout = self.issuer.rule.timeout_seconds(self.issuer.refresh_seconds)
        return self.custody.claim_seconds(timeout)

    def replica(
        self,
        name: str = "replica-1",
        *,
        stall: Stall | None = None,
        posts: Posts | None = None,
        offset: float = 0.0,
    ) -> Replica:
        """Start one more broker process over the same store.

        With a `stall` it can be stopped and takes its time, its wall clock being `offset` seconds
        off; what it posts is then counted in `posts`.
        """
        stall = stall or Stall(self.clock)
        self._first_spool = self.spools[name] = FakeSpool(self._first_spool)
        clock: Clock = StalledClock(self.clock, stall, offset)
        issuer = StalledIssuer(self.issuer, stall, posts or Posts(), self.clock)
        deeds = Deeds(clock)
        means = Means(self.audit, clock, self.entropy, deeds, self.waypoints, self.check_clock)
        engine = assemble(
            Stores(
                StalledRecords(self.grants, stall),
                StalledRecords(self.leases, stall),
                StalledRecords(self.logins, stall),
                StalledRecords(self.issuer_marks, stall),
                StalledRecords(self.heartbeats, stall),
                StalledRecords(self.rewind, stall),
                StalledSpool(self.spools[name], stall),
                self.host_marks,
                StalledRecords(self.revocations, stall),
                StalledRecords(self.narrow, stall),
                StalledRecords(self.confirmed, stall),
                StalledRecords(self.ssh_keys, stall),
                StalledRecords(self.seen, stall),
                StalledRecords(self.robots, stall),
            ),
            {ISSUER: Enrolment(issuer, "wlcg.credkey", {ROLE: GRANTED})},
            Rules(
                self.rules,
                self.limits,
                self.custody,
                KeepingRules(),
                login_seconds=7 * DAY,
                longest_job_seconds=DAY,
            ),
            means,
            name,
            signed_here=self.signed_here,
        )
        engine.marks._marks[ISSUER] = IssuerMark(ISSUER)  # as read at the first beat
        engine.replicas._has_looked = True
        engine.containing._read_at = self.clock.elapsed()
        return Replica(name, deeds, engine)

    def spooled(self) -> list[Grant]:
        """Return what lies in any spool of the host."""
        return [grant for spool in self.spools.values() for grant in spool.entries.values()]

    async def give_grant(
        self, key: GrantKey = KEY, line: str = LINE, value: str = "first"
    ) -> Grant:
        """Store a ready grant whose refresh token is `value`."""
        now = self.clock.now()
        grant = Grant(
            key=key,
            line=line,
            issuer_url=self.issuer.url,
            subject="sub-ada",
            client_id=self.issuer.client_id,
            scopes=GRANTED,
            refresh_token=Secret("refresh token", value),
            generation=1,
            state=GrantState.READY,
            write_id=f"given-{value}",
            created_at=now,
            refreshed_at=now,
        )
        await self.grants.put(key.segment(), grant, 0)
        return grant

    async def give_lease(
        self, replica: Replica, key: GrantKey = KEY, line: str = LINE
    ) -> tuple[LeaseToken, Caller]:
        """Store the lease of a login on a grant."""
        token = replica.leasing.new_token()
        now = self.clock.now()
        ends_at = now + datetime.timedelta(days=7)
        lease = Lease(token.id, token.secret_hash(), key, line, Ceiling(), now, ends_at)
        await replica.leasing.begin(lease)
        return token, Caller(lease, ORIGIN)

    async def rewrite(self, **changes: Any) -> Grant:
        """Change the grant behind everybody's back, as another replica would."""
        stored = await self.grants.get(SEGMENT)
        assert stored is not None
        grant = replace(stored.value, **changes)
        await self.grants.put(SEGMENT, grant, stored.version)
        return grant

    async def rewrite_anyway(self, **changes: Any) -> Grant:
        """Change the grant although the store fails for everybody else."""
        failures, self.grants._failures = self.grants._failures, []
        grant = await self.rewrite(**changes)
        self.grants._failures = failures
        return grant

    async def give_grant_to(self, credkey: str, value: str) -> Grant:
        """Store a ready grant of one more person."""
        return await self.give_grant(GrantKey(ISSUER, credkey, ROLE), f"line-{credkey}", value)

    def grant_of(self, credkey: str) -> Grant:
        """Return a person's grant as it is stored now."""
        return self.grants.newest(GrantKey(ISSUER, credkey, ROLE).segment())

    async def fails_for(self, replica: Replica, credkey: str) -> type[CredbrokerError]:
        """Refresh a person's grant and return the kind of error that came of it."""
        grant = self.grant_of(credkey)
        try:
            await replica.refreshing.refresh(wish(key=grant.key, line=grant.line), 9.0)
        except CredbrokerError as error:
            return type(error)
        raise AssertionError("it did not fail")

    @property
    def grant(self) -> Grant:
        """The grant as it is stored now."""
        return self.grants.newest(SEGMENT)

    @property
    def refresh_token(self) -> str | None:
        """The value of the stored refresh token."""
        token = self.grant.refresh_token
        return token.reveal() if token is not None else None

    def was_stored(self, value: str) -> bool:
        """True if a record with this refresh token was durably written at some time."""
        wanted = Secret("refresh token", value)
        return any(grant.refresh_token == wanted for grant in self.grants.history)


def wish(right: Right = READ, key: GrantKey = KEY, line: str = LINE) -> Wish:
    """Return a wish for a token on the usual grant."""
    return Wish(key, line, right)
