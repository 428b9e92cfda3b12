"""Replicas over one store, stopped, killed and cut off in any order, keep the promises all the same.

Every life is one seed: how long each call takes, who is stopped where, what the issuer and the store
do. After every step promises 2, 3 and 5 are checked from outside: at the issuer's door, in what the
store was ever given, and in what callers hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from credbroker.demo.issuer.settings import RefreshPolicy
from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    IssuerFailed,
    IssuerUnreachable,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.outcomes import NotActedOn, Unclear
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from tests.fakes.clock import turns
from tests.unit.broker.stalling import Posts, Stall
from tests.unit.broker.world import GRACE_SECONDS, READ, Replica, World, wish

T = TypeVar("T")

PATIENCE = 9.0
OFFSETS = (0.0, 3600.0)
"""The clocks of the two are an hour apart."""
TROUBLES = (
    (StoreUnavailable("OpenBao/Vault does not answer."), False),
    (StoreUnclear("OpenBao/Vault took a write and did not answer."), False),
    (StoreUnclear("OpenBao/Vault took a write and did not answer."), True),
)
LOST = Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))
BUSY = NotActedOn(IssuerUnreachable("The issuer is busy (429)."), retry_after_seconds=5.0)
BROKEN = Unclear(IssuerFailed("The issuer failed: it answered with status 500."))
WHICH = st.integers(0, 1)


@dataclass(frozen=True)
class Kind:
    """An issuer's way with refresh tokens, and the rule that is on record for it."""

    rule: UnclearRule
    policy: RefreshPolicy
    most_posts: int | None


KINDS = {
    "ask": Kind(UnclearRule.ASK, RefreshPolicy.ROTATE_REVOKE_FAMILY, 1),
    "once_more": Kind(UnclearRule.ONCE_MORE, RefreshPolicy.ROTATE, 2),
    "grace": Kind(UnclearRule.GRACE, RefreshPolicy.GRACE, 2),
    "retry_safe": Kind(UnclearRule.RETRY_SAFE, RefreshPolicy.REUSE, None),
}


class Replicas(RuleBasedStateMachine):
    """Callers, crashes, stops and outages in any order."""

    kind = KINDS["ask"]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.posts = Posts()
        self.world = World(rule=self.kind.rule)
        self.world.issuer.policy = self.kind.policy
        self.world.issuer.grace_seconds = GRACE_SECONDS
        self.stalls: list[Stall] = []
        self.replicas: list[Replica] = []
        self.callers: list[asyncio.Task[AccessToken]] = []
        self.logins = 0
        self.excused = False
        """True once something happened that no broker could have made good."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop that all share."""
        return self.runner.run(work)

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        """Give one person a grant; two processes whose clocks are an hour apart."""
        self.seed = seed
        self.run(self.world.give_grant())
        self.world.issuer.connect_seconds = 0.5
        self.world.issuer.answer_seconds = 1.0
        for which, offset in enumerate(OFFSETS):
            self.replicas.append(self.start(which, offset))

    def start(self, which: int, offset: float) -> Replica:
        """Start a process; its calls take what the seed says."""
        self.seed += 1
        stall = Stall(self.world.clock, self.seed)
        self.stalls[which : which + 1] = [stall]
        name = f"replica-{which}-{self.seed}"
        return self.world.replica(name, stall=stall, posts=self.posts, offset=offset)

    @rule(which=WHICH)
    def somebody_asks(self, which: int, patience: float = PATIENCE) -> None:
        """A caller wants a token from one of the replicas."""

        async def ask() -> None:
            replica = self.replicas[which]
            self.callers.append(replica.start(replica.refreshing.refresh(wish(), patience)))
            await turns()

        self.run(ask())

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0, 20.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """From one event to the next."""
        self.run(self.world.clock.pass_time(seconds))

    @rule(which=WHICH)
    def a_replica_is_stopped(self, which: int) -> None:
        """By SIGSTOP, or by a host that swaps."""
        self.stalls[which].stop()

    @rule(which=WHICH)
    def a_replica_goes_on(self, which: int) -> None:
        """As if nothing had happened."""
        self.stalls[which].go_on()
        self.run(turns())

    @rule(which=WHICH)
    def a_replica_is_killed(self, which: int) -> None:
        """It never goes on; another starts in its place and finds what it left on disk."""
        if self._holds_the_only_copy(which):
            self.excused = True
        self.stalls[which].stop()
        self.world.spools[self.replicas[which].name].die()
        self.replicas[which] = self.start(which, OFFSETS[which])
        self.the_spools_are_looked_at(which)

    @rule(which=WHICH)
    def the_spools_are_looked_at(self, which: int) -> None:
        """At every beat."""

        async def look() -> None:
            replica = self.replicas[which]
            replica.start(replica.engine.beating.beat())
            await turns()

        self.run(look())

    @rule(trouble=st.sampled_from(TROUBLES), times=st.integers(1, 4))
    def the_store_fails(self, trouble: tuple[StoreUnavailable, bool], times: int) -> None:
        """The next calls, or what came of them, are lost."""
        error, acted = trouble
        for _ in range(times):
            self.world.grants.fail_next(error, acted=acted, on="put" if acted else None)

    @rule(answer=st.sampled_from([LOST, BUSY, BROKEN, ValueError("a bug in the adapter")]))
    def the_issuer_does_not_act(self, answer: Unclear | NotActedOn | ValueError) -> None:
        """And answers so that it can, or cannot, be told."""
        if not isinstance(answer, NotActedOn):
            self.excused = True
        self.world.issuer.answer_next(answer)

    @rule(seconds=st.sampled_from([1.0, 1.0, 8.0, 200.0]))
    def the_issuer_takes_its_time(self, seconds: float) -> None:
        """It acts, but the last of these answers nobody waits for."""
        if seconds > self.world.issuer.refresh_seconds / 4:
            self.excused = True
        self.world.issuer.answer_seconds = seconds

    @precondition(lambda self: self.world.grants.history)
    @precondition(lambda self: self.world.grant.state in {GrantState.IN_DOUBT, GrantState.LOST})
    @rule()
    def the_person_logs_in_again(self) -> None:
        """As told."""
        self.logins += 1
        self.world.grants.mend()
        value = Secret("refresh token", f"login-{self.logins}")
        generation = self.world.grant.generation + 1
        changes = {"generation": generation, "write_id": value.fingerprint(), "posts": 0}
        self.run(self.world.rewrite(state=GrantState.READY, refresh_token=value, **changes))

    @invariant()
    def no_value_is_posted_beyond_the_rule(self) -> None:
        """Promise 3, counted at the issuer's door."""
        if self.kind.most_posts is None:
            return
        for value, times in self.posts.at.items():
            assert self.posts.open_ones(value) <= self.kind.most_posts, value
            if self.kind.rule is UnclearRule.GRACE and len(times) == 2:
                assert times[1] - times[0] <= GRACE_SECONDS

    @invariant()
    def nobody_holds_a_token_too_early_or_too_wide(self) -> None:
        """Promises 2 and 5; the fake breaks the caller that sees a token before its successor."""
        for caller in self.callers:
            if caller.done() and not caller.cancelled():
                error = caller.exception()
                assert error is None or isinstance(error, CredbrokerError), repr(error)
                if error is None:
                    assert READ.scopes.missing(caller.result().scopes).texts() == []

    @invariant()
    def generations_only_rise(self) -> None:
        """No write ever brings an older refresh token back."""
        generations = [grant.generation for grant in self.world.grants.history]
        assert generations == sorted(generations)

    def teardown(self) -> None:
        """Once all is well the next caller gets a token, or is told to log in and why; none hangs."""
        try:
            self._mend()
            for _ in range(6):
                for which in (0, 1):
                    self.the_spools_are_looked_at(which)
                self.time_passes(61.0)
            self.somebody_asks(0, patience=190.0)
            self.time_passes(200.0)
            answered = [caller for caller in self.callers if caller.done()]
            assert self.callers[-1] in answered
            error = self.callers[-1].exception()
            assert error is None or isinstance(error, GrantLost), repr(error)
            assert error is None or self.excused, f"{error!r} without a cause"
            self.no_value_is_posted_beyond_the_rule()
        finally:
            self.runner.close()

    def _mend(self) -> None:
        self.world.grants.mend()
        self.world.issuer._outcomes.clear()
        self.world.issuer.answer_seconds = 1.0
        for stall in self.stalls:
            stall.go_on()

    def _holds_the_only_copy(self, which: int) -> bool:
        """True if a post of this process may be out whose answer lies nowhere but in its memory."""
        grant = self.world.grant
        mine = grant.claimed_by == self.replicas[which].name
        return mine or grant.state is GrantState.IN_DOUBT


@pytest.mark.parametrize("kind", KINDS)
def test_no_order_of_stops_crashes_and_outages_breaks_a_promise(kind: str) -> None:
    """Twenty-five lives for each kind of issuer, the same in every run."""

    class OfThisKind(Replicas):
        pass

    OfThisKind.kind = KINDS[kind]
    lives = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[
            Phase.generate
        ],  # a life that fails is told as it was lived; a smaller one takes long
    )
    run_state_machine_as_test(OfThisKind, settings=lives)
