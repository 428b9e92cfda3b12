"""Two replicas over one store, killed and cut off at any instant, keep the promises all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from credbroker.domain.errors import (
    CredbrokerError,
    GrantLost,
    IssuerUnreachable,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.rotation import Unclear
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from tests.fakes.clock import turns
from tests.unit.broker.world import World, wish

T = TypeVar("T")

PATIENCE = 9.0
TROUBLES = (
    (StoreUnavailable("OpenBao/Vault does not answer."), False),
    (StoreUnclear("OpenBao/Vault took a write and did not answer."), False),
    (StoreUnclear("OpenBao/Vault took a write and did not answer."), True),
)
ANSWERS = (
    Unclear(IssuerUnreachable("The issuer took a refresh and did not answer.")),
    ValueError("a bug in the adapter"),
)
TWO = st.integers(0, 1)


class TwoReplicas(RuleBasedStateMachine):
    """Callers, crashes and outages in any order, at an issuer that rotates and minds replays."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World()
        self.replicas = [self.world.replica("one"), self.world.replica("two")]
        self.callers: list[asyncio.Task[AccessToken]] = []
        self.logins = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop that all share."""
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Give one person a grant; connecting, answering and storing take a moment each."""
        self.run(self.world.give_grant())
        self.world.issuer.connect_seconds = 0.5
        self.world.issuer.answer_seconds = 1.0
        self.world.grants.put_seconds = 0.5

    @rule(which=TWO)
    def somebody_asks(self, which: int) -> None:
        """A caller wants a token from one of the replicas."""

        async def ask() -> None:
            replica = self.replicas[which]
            self.callers.append(replica.start(replica.refreshing.refresh(wish(), PATIENCE)))
            await turns()

        self.run(ask())

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0, 20.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        """From one event to the next."""
        self.run(self.world.clock.pass_time(seconds))

    @rule(which=TWO)
    def a_replica_is_killed(self, which: int) -> None:
        """All it had in memory is gone; another starts in its place."""

        async def kill() -> None:
            for task in list(self.replicas[which].deeds._unfinished):
                task.cancel()
            await turns()

        self.run(kill())
        self.replicas[which] = self.world.replica(f"one more instead of {which}")

    @rule(trouble=st.sampled_from(TROUBLES), times=st.integers(1, 4))
    def the_store_fails(self, trouble: tuple[StoreUnavailable, bool], times: int) -> None:
        """The next calls, or what came of them, are lost."""
        error, acted = trouble
        for _ in range(times):
            self.world.grants.fail_next(error, acted=acted, on="put" if acted else None)

    @rule(answer=st.sampled_from(ANSWERS))
    def the_next_answer_is_lost(self, answer: Unclear | ValueError) -> None:
        """On the way, or in the adapter."""
        self.world.issuer.answer_next(answer)

    @precondition(lambda self: self.world.grants.history)
    @precondition(lambda self: self.world.grant.state in {GrantState.IN_DOUBT, GrantState.LOST})
    @rule()
    def the_person_logs_in_again(self) -> None:
        """As told."""
        self.logins += 1
        self.world.grants.mend()
        self.world.grants.put_seconds = 0.0
        value = Secret("refresh token", f"login-{self.logins}")
        generation = self.world.grant.generation + 1
        changes = {"generation": generation, "write_id": value.fingerprint()}
        self.run(self.world.rewrite(state=GrantState.READY, refresh_token=value, **changes))
        self.world.grants.put_seconds = 0.5

    @invariant()
    def no_value_is_posted_twice(self) -> None:
        """Promise 3; the issuer's own reuse alarm never rang either."""
        assert not [value for value, posts in self.world.issuer.posts.items() if posts > 1]

    @invariant()
    def nobody_saw_a_token_before_its_successor_was_stored(self) -> None:
        """Promise 2: the fake asks the store when a token is verified, and would break the caller."""
        for caller in self.callers:
            if caller.done() and not caller.cancelled():
                error = caller.exception()
                assert error is None or isinstance(error, CredbrokerError), repr(error)

    @invariant()
    def generations_only_rise(self) -> None:
        """No write ever brings an older refresh token back."""
        generations = [grant.generation for grant in self.world.grants.history]
        assert generations == sorted(generations)

    def teardown(self) -> None:
        """Once all is well again the next caller gets a token, or is told to log in; none hangs."""
        self.world.grants.mend()
        self.world.issuer._outcomes.clear()
        for _ in range(3):
            self.time_passes(61.0)
        self.somebody_asks(0)
        self.time_passes(61.0)
        assert all(caller.done() for caller in self.callers)
        error = self.callers[-1].exception()
        assert error is None or isinstance(error, GrantLost)
        self.no_value_is_posted_twice()
        self.runner.close()


def test_no_order_of_crashes_and_outages_replays_a_value_or_hands_out_too_early() -> None:
    """Fifty lives of two replicas, the same in every run."""
    lives = settings(
        max_examples=50, stateful_step_count=25, deadline=None, derandomize=True, database=None
    )
    run_state_machine_as_test(TwoReplicas, settings=lives)
