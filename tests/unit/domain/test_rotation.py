"""Every move of a grant: claimed before use, advanced by one, settled by rule, never by hope."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import (
    GrantInDoubt,
    GrantLost,
    IssuerUnreachable,
    LeaseEnded,
    LoginDenied,
    LoginNeeded,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.rotation import (
    Dead,
    Judgement,
    NotActedOn,
    Outcome,
    Renewed,
    Unclear,
    UnclearRule,
    claim,
    judge,
    log_out,
    settle,
    settle_left_claim,
    succeed,
    why_lost,
)
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, grant, seconds

DOWN = IssuerUnreachable("The issuer does not answer.")
DEAD = Dead(LoginNeeded("The issuer no longer accepts this login."))
CLAIMED = claim(grant(), "replica-1", "write-2")
USELESS = [GrantState.IN_DOUBT, GrantState.LOST, GrantState.ENDED]


def renewed(successor: str | None, **lifetimes: float) -> Renewed:
    """Return an answer that brings an access token, and perhaps a successor."""
    refresh = Secret("refresh token", successor) if successor else None
    return Renewed(Secret("access token", "access-2"), refresh, **lifetimes)  # type: ignore[arg-type]  # lifetimes are floats


def test_a_claim_names_its_owner_and_keeps_everything_else() -> None:
    """Its write id is new; nobody else may use the token meanwhile."""
    assert grant(state=GrantState.CLAIMED, claimed_by="replica-1", write_id="write-2") == CLAIMED


@pytest.mark.parametrize("state", [GrantState.CLAIMED, *USELESS])
def test_only_a_ready_grant_can_be_claimed(state: GrantState) -> None:
    """A second claim would be a second post."""
    with pytest.raises((GrantLost, LeaseEnded)):
        claim(grant(state=state), "replica-2", "write-3")


def test_a_grant_without_its_token_cannot_be_claimed() -> None:
    """There would be nothing to post."""
    with pytest.raises((GrantLost, LeaseEnded)):
        claim(grant(refresh_token=None), "replica-2", "write-3")


@pytest.mark.parametrize(
    ("age", "judgement"), [(0, Judgement.WAIT), (59.9, Judgement.WAIT), (60, Judgement.SETTLE)]
)
def test_a_claim_is_waited_for_and_then_settled(age: float, judgement: Judgement) -> None:
    """Never gone past: whoever finds it does not post."""
    assert judge(CLAIMED, age, 60) is judgement
    assert judge(grant(), 1e6, 60) is Judgement.GO


@pytest.mark.parametrize("state", USELESS)
def test_a_useless_grant_says_how_to_log_in_again(state: GrantState) -> None:
    """With the command that does it."""
    with pytest.raises((GrantLost, LeaseEnded)) as lost:
        judge(grant(state=state), 0, 60)
    assert lost.value.remedy == "Log in again with: credbroker login egi --role default"
    assert isinstance(lost.value, GrantInDoubt) is (state is GrantState.IN_DOUBT)


@pytest.mark.parametrize("rule", UnclearRule)
@pytest.mark.parametrize("successor", ["refresh-2", None])
def test_an_answer_advances_the_grant_whether_or_not_the_issuer_rotates(
    rule: UnclearRule, successor: str | None
) -> None:
    """Incident 15: without a new refresh token in the answer the old one stays good."""
    after = settle(CLAIMED, renewed(successor), rule, "write-3", NOON)
    assert after.state is GrantState.READY
    assert after.refresh_token == Secret("refresh token", successor or "refresh-1")
    assert (after.generation, after.write_id, after.claimed_by) == (2, "write-3", None)
    assert after.refreshed_at == NOON


def test_an_issuer_may_change_its_mind_about_rotation() -> None:
    """Incident 15, switching mid-life: the newest value given is the one that counts."""
    found = grant()
    values = []
    for number, successor in enumerate([None, "b", None, "c", None]):
        claimed = claim(found, "replica-1", f"claim-{number}")
        found = settle(claimed, renewed(successor), UnclearRule.ASK, f"store-{number}", NOON)
        assert found.refresh_token is not None
        values.append(found.refresh_token)
    expected = ["refresh-1", "b", "b", "c", "c"]
    assert values == [Secret("refresh token", value) for value in expected]
    assert found.generation == 6


@pytest.mark.parametrize(
    ("outcome", "rule", "state"),
    [
        (DEAD, UnclearRule.ASK, GrantState.LOST),
        (DEAD, UnclearRule.RETRY_SAFE, GrantState.LOST),
        (NotActedOn(DOWN), UnclearRule.ASK, GrantState.READY),
        (NotActedOn(DOWN), UnclearRule.RETRY_SAFE, GrantState.READY),
        (Unclear(DOWN), UnclearRule.ASK, GrantState.IN_DOUBT),
        (Unclear(DOWN), UnclearRule.RETRY_SAFE, GrantState.READY),
    ],
)
def test_an_answer_without_a_token_is_settled_by_what_it_proves(
    outcome: Outcome, rule: UnclearRule, state: GrantState
) -> None:
    """Only a proof, or the issuer's recorded rule, makes the token usable again."""
    after = settle(CLAIMED, outcome, rule, "write-3", NOON)
    assert (after.state, after.generation, after.claimed_by) == (state, 1, None)
    assert after.refresh_token == CLAIMED.refresh_token
    assert bool(after.note) is (state is not GrantState.READY)


@pytest.mark.parametrize(
    ("rule", "state"),
    [(UnclearRule.ASK, GrantState.IN_DOUBT), (UnclearRule.RETRY_SAFE, GrantState.READY)],
)
def test_a_claim_left_behind_is_settled_by_the_rule(rule: UnclearRule, state: GrantState) -> None:
    """At an issuer that may rotate it is never taken over."""
    after = settle_left_claim(CLAIMED, rule, "write-3")
    assert (after.state, after.generation, after.claimed_by) == (state, 1, None)


def test_the_ends_of_tokens_are_remembered() -> None:
    """The latest access token given out counts; a refresh token's end moves when it is told."""
    first = settle(CLAIMED, renewed(None, expires_in=600.0), UnclearRule.ASK, "w", NOON)
    assert first.tokens_until == NOON + seconds(600)
    assert first.refresh_expires_at is None
    again = claim(first, "replica-1", "w2")
    answer = renewed("b", expires_in=60.0, refresh_expires_in=86400.0)
    second = settle(again, answer, UnclearRule.ASK, "w3", NOON + seconds(10))
    assert second.tokens_until == NOON + seconds(600)
    assert second.refresh_expires_at == NOON + seconds(86410)


def test_a_logout_leaves_a_tombstone_that_outranks_older_writes() -> None:
    """Without the token, one generation higher."""
    gone = log_out(CLAIMED, "write-3")
    assert (gone.state, gone.refresh_token, gone.generation) == (GrantState.ENDED, None, 2)
    assert (gone.claimed_by, gone.line) == (None, "line-1")
    with pytest.raises(LeaseEnded, match="logout"):
        judge(gone, 0, 60)


def test_a_new_login_goes_on_with_the_line() -> None:
    """Running jobs keep their leases; the generation rises over what was there."""
    new = grant(line="line-2", refresh_token=Secret("refresh token", "refresh-9"))
    after = succeed(grant(generation=7, state=GrantState.LOST), new)
    assert (after.line, after.generation) == ("line-1", 8)
    assert after.refresh_token == new.refresh_token


def test_a_new_login_after_a_logout_begins_a_new_line() -> None:
    """A lease from before can never come back, whoever logs in."""
    tombstone = log_out(grant(generation=7), "w")
    after = succeed(tombstone, grant(line="line-2", subject="sub-bob"))
    assert (after.line, after.generation) == ("line-2", 9)


@pytest.mark.parametrize("changed", [{"subject": "sub-bob"}, {"issuer_url": "https://other.test/"}])
def test_another_person_under_the_same_key_is_refused(changed: dict[str, str]) -> None:
    """An identity key that comes to name somebody else opens nobody's grant."""
    with pytest.raises(LoginDenied):
        succeed(grant(), grant(**changed))


def test_why_a_grant_is_lost_is_told_without_the_issuers_words() -> None:
    """Incident 24: notes and sentences hold none of it."""
    assert "refresh-1" not in repr(why_lost(grant(state=GrantState.LOST)))
