"""A gate before one issuer, with a clock, and other replicas that are only told about."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from credbroker.broker.custody.gate import Gate, Gates
from credbroker.broker.custody.replicas import Share
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import CredbrokerError, IssuerUnreachable, LoginNeeded
from credbroker.domain.marks import IssuerCount
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead, Outcome, Renewed, Unclear
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.secret import Secret
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy

T = TypeVar("T")

ISSUER = "cms"
ANSWERED = Renewed(Secret("access token", "access"))
DEAD = Dead(LoginNeeded("The issuer no longer accepts this login."))
SILENT = Unclear(IssuerUnreachable("The issuer does not answer."))


def key(number: int) -> GrantKey:
    """Return the key of somebody's grant."""
    return GrantKey(ISSUER, f"person-{number}", "default")


class ToldReplicas:
    """The other replicas, as a test tells of them. Follows `braking.Others`."""

    def __init__(self) -> None:
        """Begin alone."""
        self.place = Share(0, 1, newcomer=False)
        self.counted = IssuerCount()

    def share(self) -> Share:
        """Return what the test set."""
        return self.place

    def others(self, issuer: str) -> IssuerCount:
        """Return what the test set."""
        return self.counted


class ToldMarks:
    """What is recorded for all replicas. Follows `braking.Marks`."""

    def __init__(self, rule: Rule) -> None:
        """Begin with this rule for every issuer, and no brake on."""
        self.given = rule
        self.on: set[str] = set()
        self.broken: CredbrokerError | None = None
        self.unread = False

    def rule(self, name: str) -> Rule:
        """Return the rule of every issuer."""
        return self.given

    def braked(self, name: str) -> bool:
        """True if the brake is on."""
        return name in self.on

    async def brake(self, name: str) -> None:
        """Put the brake on, unless the store is broken; later, if the marks were never read."""
        if self.broken is not None:
            raise self.broken
        if not self.unread:
            self.on.add(name)

    def release(self, name: str) -> None:
        """Take it off, as an operator does."""
        self.on.discard(name)


class GateWorld:
    """One replica's gates, and what they stand among."""

    def __init__(
        self,
        limits: IssuerLimits | None = None,
        *,
        rule: UnclearRule = UnclearRule.ASK,
        clock: FakeClock | None = None,
        marks: ToldMarks | None = None,
        names: tuple[str, ...] = (ISSUER,),
    ) -> None:
        """Begin with open gates; replicas of one story share `clock` and `marks`."""
        self.clock = clock or FakeClock()
        self.audit = FakeAudit()
        self.entropy = FakeEntropy()
        self.deeds = Deeds(self.clock)
        self.means = Means(self.audit, self.clock, self.entropy, self.deeds)
        self.replicas = ToldReplicas()
        self.marks = marks or ToldMarks(Rule(rule))
        given = dict.fromkeys(names, limits) if limits is not None else {}
        self.gates = Gates(names, given, self.replicas, self.marks, self.means)
        self.entered: list[GrantKey] = []
        self.most_at_once = 0
        self._inside = 0

    @property
    def gate(self) -> Gate:
        """The gate of the only issuer."""
        return self.gates.of(ISSUER)

    def place(self, **changes: Any) -> None:
        """Change this replica's place among the others."""
        self.replicas.place = replace(self.replicas.place, **changes)

    def start(self, deed: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something beside the test."""
        return self.deeds.begin(deed, "beside the test")

    async def pass_through(
        self, number: int = 0, outcome: Outcome | None = ANSWERED, seconds: float = 0.0
    ) -> None:
        """Refresh somebody's grant; the outcome, if any, comes after `seconds`."""
        async with self.gate.entered(key(number)):
            self.entered.append(key(number))
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
            try:
                if seconds:
                    await self.clock.sleep(seconds)
            finally:
                self._inside -= 1
            if outcome is not None:
                self.gate.note(outcome)

    async def open_breaker(self) -> None:
        """Have the issuer give no answer so often that the gate closes."""
        for number in range(3):
            await self.pass_through(number, SILENT)

    async def settle(self) -> None:
        """Let everybody run until each waits for time or for the test."""
        await turns()
