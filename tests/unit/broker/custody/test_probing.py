"""An issuer's rule is measured with a throw-away login, and never called better than it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.broker.custody.probing import PATIENCE_SECONDS, Probing
from credbroker.broker.running import Deeds, Means
from credbroker.demo.issuer.settings import RefreshPolicy
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    ClientRejected,
    IssuerFailed,
    IssuerUnreachable,
    LoginNeeded,
)
from credbroker.domain.marks import LEAST_GRACE_SECONDS
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.issuer import FakeIssuer

if TYPE_CHECKING:
    from credbroker.broker.custody.probing import Measured

READ = Right(ScopeSet.parse("storage.read:/"))
FIRST = Secret("refresh token", "first")
LOST = Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))
DEAD = Dead(LoginNeeded("The issuer no longer accepts this login."))


async def measured(issuer: FakeIssuer, clock: FakeClock, patience: float = 120.0) -> Measured:
    """Measure with a login that was just made, in as much fake time as it takes."""
    deeds = Deeds(clock)
    means = Means(FakeAudit(), clock, FakeEntropy(), deeds)
    task = deeds.begin(Probing(issuer, means).measure(FIRST, READ, patience), "measure")
    while not task.done():
        await clock.pass_time(1000.0)
    return task.result()


def issuer_of(clock: FakeClock, policy: RefreshPolicy, grace_seconds: float = 60.0) -> FakeIssuer:
    """Return an issuer with this policy."""
    issuer = FakeIssuer(clock)
    issuer.policy, issuer.grace_seconds = policy, grace_seconds
    return issuer


async def is_good(issuer: FakeIssuer, value: Secret | None) -> bool:
    """Use what is left; tell if the issuer takes it."""

    async def at_once() -> None:
        """Be a claim that is stored already."""

    assert value is not None
    return isinstance(await issuer.refresh(value, READ, at_once, seconds=1.0), Renewed)


@pytest.mark.parametrize(
    ("policy", "kind", "rotates"),
    [
        (RefreshPolicy.REUSE, UnclearRule.RETRY_SAFE, False),
        (RefreshPolicy.ROTATE, UnclearRule.ONCE_MORE, True),
        (RefreshPolicy.GRACE, UnclearRule.GRACE, True),
    ],
)
async def test_each_way_with_refresh_tokens_is_told_and_leaves_a_good_one(
    clock: FakeClock, policy: RefreshPolicy, kind: UnclearRule, *, rotates: bool
) -> None:
    """What is left over goes on working."""
    issuer = issuer_of(clock, policy)
    found = await measured(issuer, clock)
    assert (found.rule.kind, found.rotates) == (kind, rotates)
    assert await is_good(issuer, found.kept)
    assert found.said


async def test_an_issuer_where_a_replay_revokes_more_costs_the_login(clock: FakeClock) -> None:
    """Nothing is left, and the rule is to ask."""
    found = await measured(issuer_of(clock, RefreshPolicy.ROTATE_REVOKE_FAMILY), clock)
    assert (found.rule, found.rotates, found.kept) == (Rule(), True, None)
    assert "revoked with it" in found.said[-1]


@given(
    grace=st.floats(0.0, 200.0),
    patience=st.floats(0.0, 300.0),
    answer_seconds=st.floats(0.0, 10.0),
)
async def test_a_grace_is_never_over_estimated(
    grace: float, patience: float, answer_seconds: float
) -> None:
    """However long it is, however slow the answers are, and however short the patience."""
    clock = FakeClock()
    issuer = issuer_of(clock, RefreshPolicy.GRACE, grace)
    issuer.answer_seconds = answer_seconds
    found = await measured(issuer, clock, patience)
    if found.rule.kind is UnclearRule.GRACE:
        assert LEAST_GRACE_SECONDS <= found.rule.grace_seconds < grace
        assert found.rule.timeout_seconds(1000.0) >= LEAST_GRACE_SECONDS / 3
    else:
        assert found.rule.kind is UnclearRule.ASK


async def test_a_grace_longer_than_the_patience_is_known_for_about_half_of_it(
    clock: FakeClock,
) -> None:
    """The pauses double, and a fifth of the longest is left as a margin."""
    found = await measured(issuer_of(clock, RefreshPolicy.GRACE, 1e9), clock, PATIENCE_SECONDS)
    assert found.rule.kind is UnclearRule.GRACE
    assert found.rule.grace_seconds == pytest.approx(0.8 * 58.0)


async def test_a_grace_too_short_for_a_retry_counts_as_none(clock: FakeClock) -> None:
    """Refreshes would have to be given up after a moment; so people are asked instead."""
    found = await measured(issuer_of(clock, RefreshPolicy.GRACE, 10.0), clock)
    assert found.rule == Rule()
    assert any("too short" in one for one in found.said)


async def test_each_value_is_replayed_once_so_that_a_grace_that_starts_anew_deceives_nobody(
    clock: FakeClock,
) -> None:
    """No value is posted more than twice."""
    issuer = issuer_of(clock, RefreshPolicy.GRACE)
    await measured(issuer, clock)
    assert max(issuer.posts.values()) <= 2


@pytest.mark.parametrize("answers_before", [0, 1, 2])
async def test_a_lost_answer_measures_nothing(clock: FakeClock, answers_before: int) -> None:
    """Whichever step it is: the rule is to ask, and it is said why."""
    issuer = issuer_of(clock, RefreshPolicy.ROTATE)
    given_back = [renewed(f"value-{number}") for number in range(answers_before)]
    issuer.answer_next(*given_back, LOST, DEAD)
    found = await measured(issuer, clock)
    assert (found.rule, found.kept) == (Rule(), None)
    assert found.said[-1].startswith("It could not be measured: The issuer took a refresh")


async def test_what_still_works_after_a_lost_answer_is_kept(clock: FakeClock) -> None:
    """One more use finds out."""
    issuer = issuer_of(clock, RefreshPolicy.REUSE)
    issuer.answer_next(LOST)
    found = await measured(issuer, clock)
    assert (found.rule, found.kept) == (Rule(), FIRST)


@pytest.mark.parametrize(
    "outcome",
    [
        NotActedOn(ClientRejected("The issuer does not accept the broker's client.")),
        Unclear(IssuerFailed("The issuer failed.")),
    ],
)
async def test_an_answer_that_is_about_something_else_measures_nothing(
    clock: FakeClock, outcome: Outcome
) -> None:
    """A refused client or a server error says nothing about refresh tokens."""
    issuer = issuer_of(clock, RefreshPolicy.ROTATE)
    issuer.answer_next(renewed("second"), outcome)
    found = await measured(issuer, clock)
    assert found.rule == Rule()
    assert outcome.error.sentence in found.said[-1]  # type: ignore[union-attr]  # it is no Renewed


async def test_an_issuer_that_is_down_measures_nothing(clock: FakeClock) -> None:
    """Nothing was sent."""
    issuer = issuer_of(clock, RefreshPolicy.ROTATE)
    issuer.down = IssuerUnreachable("The issuer does not answer.")
    found = await measured(issuer, clock)
    assert (found.rule, found.rotates, found.kept) == (Rule(), False, None)


async def test_a_value_that_changes_only_at_the_second_refresh_counts_as_rotating(
    clock: FakeClock,
) -> None:
    """Some issuers give a new one only now and then."""
    issuer = issuer_of(clock, RefreshPolicy.ROTATE)
    issuer.answer_next(renewed("first"))
    found = await measured(issuer, clock)
    assert (found.rule.kind, found.rotates) == (UnclearRule.ONCE_MORE, True)


def renewed(value: str) -> Renewed:
    """Return a success with this refresh token."""
    return Renewed(Secret("access token", "access"), Secret("refresh token", value))
