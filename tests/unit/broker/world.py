"""One store, one issuer, one clock, and as many replicas of the broker as a story needs."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from credbroker.broker.ending import Ending
from credbroker.broker.enrolling import Enrolling, Enrolment
from credbroker.broker.holding import HeldTokens
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.broker.minting import Minting, MintingRules
from credbroker.broker.refreshing import Refreshing, Wish
from credbroker.broker.running import Deeds, Means
from credbroker.domain.attenuation import Ceiling, Right, Wanted
from credbroker.domain.device import PendingLogin
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.issuer import FakeIssuer
from tests.fakes.store import MemoryRecords

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


@dataclass(frozen=True)
class Replica:
    """One broker process, as far as the deeds go."""

    name: str
    deeds: Deeds
    refreshing: Refreshing
    minting: Minting
    leasing: Leasing
    enrolling: Enrolling
    ending: Ending

    def start(self, deed: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a caller's request beside the test."""
        return self.deeds.begin(deed, "a caller")


class World:
    """All that replicas share."""

    def __init__(self, *, rule: UnclearRule = UnclearRule.ASK, rotates: bool = True) -> None:
        """Build it around an issuer with that rule on record, which rotates or not."""
        self.clock = FakeClock()
        self.entropy = FakeEntropy()
        self.audit = FakeAudit()
        self.grants = MemoryRecords[Grant](self.clock)
        self.leases = MemoryRecords[Lease](self.clock)
        self.logins = MemoryRecords[PendingLogin](self.clock)
        self.issuer = FakeIssuer(self.clock, rule=rule, rotates=rotates)
        self.issuer.is_stored = self.was_stored
        self.rules = MintingRules({(ISSUER, ROLE): ()}, renew_after=0.5)

    def replica(self, name: str = "replica-1") -> Replica:
        """Start one more broker process over the same store."""
        deeds = Deeds(self.clock)
        means = Means(self.audit, self.clock, self.entropy, deeds)
        issuers = {ISSUER: self.issuer}
        held = HeldTokens(self.clock)
        refreshing = Refreshing(self.grants, issuers, held, means, name)
        minting = Minting(self.grants, refreshing, held, self.rules, means)
        leasing = Leasing(self.leases, means, longest_job_seconds=DAY)
        enrolments = {ISSUER: Enrolment(self.issuer, "wlcg.credkey", {ROLE: GRANTED})}
        enrolling = Enrolling(
            self.logins, self.grants, leasing, enrolments, means, login_seconds=7 * DAY
        )
        ending = Ending(self.grants, refreshing, minting, leasing, means)
        return Replica(name, deeds, refreshing, minting, leasing, enrolling, ending)

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
