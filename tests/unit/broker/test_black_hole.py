"""An issuer that takes every refresh and answers none, for three hours, over 10,000 grants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count, islice

import pytest

from credbroker.broker.custody.recovering import Recovering
from credbroker.broker.custody.refreshing import Wish
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, GrantInDoubt, IssuerUnreachable
from credbroker.domain.marks import IssuerCount
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Outcome, Renewed
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.scopes import ScopeSet
from tests.fakes.clock import FakeClock, turns
from tests.fakes.issuer import FakeIssuer
from tests.unit.broker.gate_world import ANSWERED, ISSUER, SILENT, GateWorld, key

GRANTS = 10_000
HOLE_SECONDS = 3 * 3600.0
TIMEOUT_SECONDS = 120.0
STEP_SECONDS = 20.0
CALLS_A_STEP = 20
LIMITS = IssuerLimits(per_second=50.0, at_once=16)
READ = Right(ScopeSet.parse("storage.read:/"))


class Hole:
    """An issuer whose refreshes hang while `open`, and what that did to the grants."""

    def __init__(self, clock: FakeClock) -> None:
        """Begin with an issuer that answers."""
        self.clock = clock
        self.open = False
        self.in_doubt: set[GrantKey] = set()
        self.answered = 0

    async def refresh(self) -> Outcome:
        """Answer, or do not."""
        if not self.open:
            await self.clock.sleep(0.1)
            return ANSWERED
        await self.clock.sleep(TIMEOUT_SECONDS)
        return SILENT


class Replica:
    """One replica's gate and recovering, and refreshing as far as the gate sees it."""

    def __init__(self, hole: Hole, rank: int, replicas: int, issuer: FakeIssuer) -> None:
        """Refresh at the hole, as one of `replicas`."""
        self.hole = hole
        self.world = GateWorld(LIMITS, clock=hole.clock)
        self.world.place(rank=rank, count=replicas)
        self.recovering = Recovering(
            self.world.gates,
            {ISSUER: issuer},
            self.refresh,
            self.candidates,
            self.world.means,
        )

    def candidates(self, issuer: str) -> Iterator[Wish]:
        """Offer the grants that are ready, the last ones first."""
        for number in reversed(range(GRANTS)):
            if key(number) not in self.hole.in_doubt:
                yield Wish(key(number), "line-1", READ, kept=True)

    async def refresh(self, wish: Wish, seconds: float = 0.0) -> None:
        """Refresh a grant; one whose refresh got no answer is in doubt."""
        if wish.key in self.hole.in_doubt:
            raise GrantInDoubt("A refresh was cut off.")
        async with self.world.gate.entered(wish.key):
            outcome = await self.hole.refresh()
            self.world.gate.note(outcome)
        if isinstance(outcome, Renewed):
            self.hole.answered += 1
            return
        self.hole.in_doubt.add(wish.key)
        raise GrantInDoubt("A refresh was cut off.")

    def hear_of(self, brokers: list[Replica]) -> None:
        """Take the counts of the others from their heartbeats."""
        answers = sum(one.world.gate.counts().refreshes for one in brokers if one is not self)
        self.world.replicas.counted = IssuerCount(refreshes=answers)

    async def call(self, number: int) -> None:
        """Ask for a token as a caller does, who takes any answer."""
        try:
            await self.refresh(Wish(key(number), "line-1", READ))
        except CredbrokerError:
            return


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "probe_answers"), [(1, True), (1, False), (3, True)])
async def test_three_hours_of_silence_leave_few_logins_in_doubt(
    replicas: int, *, probe_answers: bool
) -> None:
    """At most as many as may be under way, and three; afterwards all others go on by themselves."""
    clock = FakeClock()
    hole, issuer = Hole(clock), FakeIssuer(clock)
    brokers = [Replica(hole, rank, replicas, issuer) for rank in range(replicas)]
    minding = [asyncio.ensure_future(one.recovering.run()) for one in brokers]
    calls = count()

    async def call_for(seconds: float) -> None:
        end = clock.elapsed() + seconds
        while clock.elapsed() < end:
            for number in islice(calls, CALLS_A_STEP):
                broker = brokers[number % replicas]
                broker.world.start(broker.call(number % GRANTS))
            for broker in brokers:
                broker.hear_of(brokers)
            clock.advance(STEP_SECONDS)
            await turns(12)

    await call_for(60)
    hole.open = True
    if not probe_answers:
        issuer.down = IssuerUnreachable("The issuer does not answer.")
    await call_for(HOLE_SECONDS)
    assert len(hole.in_doubt) <= LIMITS.at_once + 3
    hole.open, issuer.down, hole.answered = False, None, 0
    await call_for(3600)
    assert len(hole.in_doubt) <= LIMITS.at_once + 3
    assert not any(broker.world.gate.in_trouble for broker in brokers)
    assert hole.answered > 1000
    for task in minding:
        task.cancel()
    await turns()
