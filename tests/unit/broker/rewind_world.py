"""A Vault that can be set back, hosts that remember, and an issuer that counts every post."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from credbroker.broker.custody.lifting import Lifting, Restored
from credbroker.broker.custody.replicas import LIVE_SECONDS, Replicas
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.broker.custody.sorting import REWIND_SEGMENT, Sorting
from credbroker.broker.running import Deeds, Means
from credbroker.domain import rotation
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import why_lost
from credbroker.domain.marks import Heartbeat, RewindMark
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.rotation import Rule
from credbroker.domain.secret import Secret
from credbroker.ports import StaleVersionError, Stored
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.host_marks import FakeHostMarks
from tests.fakes.store import MemoryRecords
from tests.unit.things import grant

T = TypeVar("T")

ADA = GrantKey("egi", "ada", "default")
STEPS = ["start", "read", "claimed", "confirmed", "posted", "stored"]
"""Where a refresh of `RewindWorld` may be; what happens, happens after a step."""


class RestorableRecords(MemoryRecords[T]):
    """Records that can be set back to an earlier state, versions and all."""

    _old: list[dict[str, Any]]

    def answer_from(self, old: dict[str, Any], times: int) -> None:
        """Answer the next `times` readings from an old state, and take writes to the newest."""
        self._old = [old] * times

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the newest version, or an old one as the test wants."""
        if not getattr(self, "_old", []):
            return await super().get(segment)
        now, self._newest = self._newest, self._old.pop()
        try:
            return await super().get(segment)
        finally:
            self._newest = now

    def snapshot(self) -> dict[str, Any]:
        """Return the state as it is."""
        return dict(self._newest)

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Set the state back."""
        self._newest = dict(snapshot)


@dataclass(frozen=True)
class Host:
    """One replica on a host of its own."""

    replicas: Replicas
    sorting: Sorting
    rewinding: Rewinding
    marks: FakeHostMarks
    deeds: Deeds

    async def beat(self) -> None:
        """Beat as the daemon does."""
        await self.replicas.beat({})
        await self.rewinding.beat()


@dataclass
class RewindWorld:
    """All that hosts share; `replayed` are the refresh tokens that were posted more than once."""

    clock: FakeClock = field(default_factory=FakeClock)
    audit: FakeAudit = field(default_factory=FakeAudit)
    entropy: FakeEntropy = field(default_factory=FakeEntropy)
    posted: list[str] = field(default_factory=list)
    confirm_early: bool = False

    def __post_init__(self) -> None:
        self.grants = RestorableRecords[Grant](self.clock)
        self.rewinds = RestorableRecords[RewindMark](self.clock)
        self.heartbeats = RestorableRecords[Heartbeat](self.clock)
        self._saved: list[dict[str, Any]] = []
        self._hosts = 0

    def host(self, name: str, marks: FakeHostMarks | None = None, **options: Any) -> Host:
        """Start a replica whose host remembers `marks`, or nothing yet."""
        marks = marks or FakeHostMarks()
        deeds = Deeds(self.clock)
        self._hosts += 1
        self.entropy.next_fraction = self._hosts / 1000
        means = Means(self.audit, self.clock, self.entropy, deeds)
        replicas = Replicas(self.heartbeats, name, means)
        sorting = Sorting(self.grants, self.rewinds, marks, replicas, means, **options)
        rewinding = Rewinding(self.rewinds, marks, sorting, replicas, means)
        return Host(replicas, sorting, rewinding, marks, deeds)

    @property
    def mark(self) -> RewindMark:
        """The counter and the halt as they are stored now."""
        return self.rewinds.newest(REWIND_SEGMENT)

    @property
    def replayed(self) -> list[str]:
        """The values that the issuer saw more than once."""
        return [value for value in set(self.posted) if self.posted.count(value) > 1]

    def snapshot(self) -> None:
        """Have the operator save all of Vault."""
        self._saved = [one.snapshot() for one in (self.grants, self.rewinds, self.heartbeats)]

    def restore(self) -> None:
        """Have the operator set all of Vault back to what was saved last."""
        self.grants.restore(self._saved[0])
        self.rewinds.restore(self._saved[1])
        self.heartbeats.restore(self._saved[2])

    async def lift(self, *without: str) -> Restored:
        """Have an operator let refreshes go on, once enough time has passed for it."""
        self.clock.advance(LIVE_SECONDS)
        means = Means(self.audit, self.clock, self.entropy, Deeds(self.clock))
        lifting = Lifting(self.grants, self.rewinds, self.heartbeats, means)
        return await lifting.lift(without)

    async def give(self, key: GrantKey = ADA, **changes: Any) -> Grant:
        """Store a grant, over the one that may be there."""
        there = await self.grants.get(key.segment())
        given = grant(key=key, refresh_token=Secret("refresh token", f"{key.credkey}-first"))
        given = replace(given, **changes)
        await self.grants.put(key.segment(), given, there.version if there else 0)
        return given

    async def steps(self, host: Host, key: GrantKey = ADA) -> AsyncGenerator[str, None]:
        """Refresh a grant, in the order that the broker keeps; yields after each step."""
        yield "start"
        segment = key.segment()
        stored = await self.grants.get(segment)
        assert stored is not None
        yield "read"
        if stored.value.state is not GrantState.READY:
            raise why_lost(stored.value)
        if self.confirm_early:
            await host.rewinding.confirm(stored.value)
        claim = rotation.claim(stored.value, host.replicas.name, self.entropy.token(16))
        version = await self.grants.put(segment, claim, stored.version)
        yield "claimed"
        if not self.confirm_early:
            await host.rewinding.confirm(claim)
        yield "confirmed"
        assert claim.refresh_token is not None
        self.posted.append(claim.refresh_token.reveal())
        answer = Renewed(
            Secret("access token", "a"), Secret("refresh token", f"rt-{len(self.posted)}")
        )
        yield "posted"
        now = self.clock.now()
        after = rotation.settle(claim, answer, Rule(), self.entropy.token(16), now)
        while True:
            try:
                await self.grants.put(segment, after, version)
                break
            except StaleVersionError:
                there = await self.grants.get(segment)
                assert there is not None
                if not rotation.may_replace(after, there.value, claim):
                    return
                version = there.version
        host.rewinding.saw(after)
        yield "stored"

    async def refresh(self, host: Host, key: GrantKey = ADA) -> None:
        """Refresh a grant without a break."""
        async for _ in self.steps(host, key):
            pass

    async def beat(self, *hosts: Host, times: int = 1) -> None:
        """Let these hosts beat, 10 s apart."""
        for _ in range(times):
            self.clock.advance(10.0)
            for host in hosts:
                await host.beat()
