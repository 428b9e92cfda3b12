"""Every move of a grant: claimed before use, advanced by one, settled by rule, never by hope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantLost,
    GrantPaused,
    IssuerUnreachable,
    LeaseEnded,
    LoginDenied,
    LoginNeeded,
)
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import BRAKED, RESTORED, why_lost
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.rotation import (
    MOST_EARLIER_LOGINS,
    MOST_POSTS,
    MOVES,
    Custody,
    Event,
    Judgement,
    Rule,
    UnclearRule,
    claim,
    judge,
    log_out,
    may_replace,
    may_retry,
    outdated,
    release,
    settle,
    settle_left_claim,
    succeed,
)
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.unit.things import NOON, grant, seconds

READY, CLAIMED, PAUSED = GrantState.READY, GrantState.CLAIMED, GrantState.PAUSED
IN_DOUBT, LOST, ENDED = GrantState.IN_DOUBT, GrantState.LOST, GrantState.ENDED

DOWN = IssuerUnreachable("The issuer does not answer.")
DEAD = Dead(LoginNeeded("The issuer no longer accepts this login."))
PAUSE = NotActedOn(GrantPaused("The issuer wants its usage policy signed first."))
UNCLEAR = Unclear(DOWN)

ASK, RETRY_SAFE = Rule(UnclearRule.ASK), Rule(UnclearRule.RETRY_SAFE)
GRACE, ONCE_MORE = Rule(UnclearRule.GRACE, 90.0), Rule(UnclearRule.ONCE_MORE)
RULES = [ASK, RETRY_SAFE, GRACE, ONCE_MORE]

CUSTODY = Custody()
GOOD_FOR = 180.0
"""How long a claim is good here, in seconds."""

FIRST = claim(grant(), "replica-1", "write-2")


def doubted(rule: Rule = ASK, passed: float = 5.0) -> Grant:
    """Return the record after a first post whose answer got lost, `passed` after its claim."""
    return settle(FIRST, UNCLEAR, rule, "write-3", NOON, seconds=passed)


def retried(age: float = 1.0) -> Grant:
    """Return the claim of the one retry, `age` after the value was put in doubt."""
    return claim(doubted(), "replica-2", "write-4", age)


def renewed(successor: str | None, **lifetimes: float) -> Renewed:
    """Return an answer that brings an access token, and perhaps a successor."""
    refresh = Secret("refresh token", successor) if successor else None
    return Renewed(Secret("access token", "access-2"), refresh, **lifetimes)  # type: ignore[arg-type]  # lifetimes are floats


def judged(found: Grant, age: float, rule: Rule = ASK) -> Judgement:
    """Judge by the usual times."""
    return judge(found, age, rule, CUSTODY, GOOD_FOR)


# Claims


def test_a_claim_names_its_owner_and_keeps_everything_else() -> None:
    """Its write id is new; nobody else may use the token meanwhile; it counts as a post."""
    claimed = grant(
        state=CLAIMED,
        claimed_by="replica-1",
        write_id="write-2",
        claim_id="write-2",
        posts=1,
        steps=1,
    )
    assert claimed == FIRST


@pytest.mark.parametrize("state", [CLAIMED, LOST, ENDED])
def test_a_grant_that_is_in_use_or_gone_cannot_be_claimed(state: GrantState) -> None:
    """A second claim would be a second post."""
    with pytest.raises((GrantLost, LeaseEnded)):
        claim(grant(state=state), "replica-2", "write-3")


@pytest.mark.parametrize("state", [READY, PAUSED, IN_DOUBT])
def test_a_grant_without_its_token_cannot_be_claimed(state: GrantState) -> None:
    """There would be nothing to post."""
    with pytest.raises((GrantLost, LeaseEnded)):
        claim(grant(state=state, refresh_token=None), "replica-2", "write-3")


@pytest.mark.parametrize("state", [READY, PAUSED, IN_DOUBT])
def test_a_value_that_was_posted_twice_is_never_claimed_again(state: GrantState) -> None:
    """Promise 3: whatever the rule, and whoever asks."""
    with pytest.raises(GrantInDoubt):
        claim(grant(state=state, posts=MOST_POSTS), "replica-2", "write-3")


@pytest.mark.parametrize("written", [0, 1])
def test_the_claim_of_a_retry_is_the_second_post(written: int) -> None:
    """A value in doubt was posted, also where no earlier version has written it down."""
    second = claim(replace(doubted(), posts=written), "replica-2", "write-4", 7.0)
    assert (second.state, second.posts, second.claimed_by) == (CLAIMED, 2, "replica-2")
    assert second.doubt_seconds == 5.0 + 7.0


@pytest.mark.parametrize(
    ("age", "judgement"),
    [(0, Judgement.WAIT), (GOOD_FOR - 0.1, Judgement.WAIT), (GOOD_FOR, Judgement.SETTLE)],
)
def test_a_claim_is_waited_for_and_then_settled(age: float, judgement: Judgement) -> None:
    """Never gone past: whoever finds it does not post."""
    assert [judged(FIRST, age, rule) for rule in RULES] == [judgement] * 4
    assert judged(grant(), 1e6) is Judgement.GO


def test_a_claim_is_good_for_all_that_its_owner_may_take() -> None:
    """The issuer's time, the store's, and some more; with a grace, a third of it for the issuer."""
    assert CUSTODY.claim_seconds(120.0) == GOOD_FOR
    assert [rule.timeout_seconds(120.0) for rule in RULES] == [120.0, 120.0, 30.0, 120.0]
    assert GRACE.timeout_seconds(10.0) == 10.0


def test_a_paused_grant_rests_and_is_tried_again() -> None:
    """Its login is kept; what is in the way is told in the issuer's stead."""
    paused = settle(FIRST, PAUSE, ASK, "write-3", NOON)
    with pytest.raises(GrantPaused, match="usage policy") as resting:
        judged(paused, CUSTODY.paused_seconds - 0.1)
    assert "tried anew" in resting.value.remedy
    assert judged(paused, CUSTODY.paused_seconds) is Judgement.GO
    assert claim(paused, "replica-1", "write-4").posts == 1


@pytest.mark.parametrize("state", [IN_DOUBT, LOST, ENDED])
def test_a_useless_grant_says_how_to_log_in_again(state: GrantState) -> None:
    """With the command that does it."""
    with pytest.raises((GrantLost, LeaseEnded)) as lost:
        judged(grant(state=state), 0)
    assert lost.value.remedy == "Log in again with: credbroker login egi --role default"
    assert isinstance(lost.value, GrantInDoubt) is (state is IN_DOUBT)


# Answers


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("successor", ["refresh-2", None])
@pytest.mark.parametrize("claimed", [FIRST, retried()])
def test_an_answer_advances_the_grant_whether_or_not_the_issuer_rotates(
    rule: Rule, successor: str | None, claimed: Grant
) -> None:
    """Incident 15: without a new refresh token in the answer the old one stays good."""
    after = settle(claimed, renewed(successor), rule, "write-9", NOON, seconds=3.0)
    assert after.state is READY
    assert after.refresh_token == Secret("refresh token", successor or "refresh-1")
    assert (after.generation, after.write_id, after.claimed_by) == (2, "write-9", None)
    assert (after.posts, after.doubt_seconds, after.note, after.reason) == (0, 0.0, "", "")
    assert after.refreshed_at == NOON


def test_an_issuer_may_change_its_mind_about_rotation() -> None:
    """Incident 15, switching mid-life: the newest value counts, and one change is remembered."""
    found = grant()
    values = []
    for number, successor in enumerate([None, "b", None, "c", None]):
        claimed = claim(found, "replica-1", f"claim-{number}")
        found = settle(claimed, renewed(successor), ASK, f"store-{number}", NOON)
        assert found.refresh_token is not None
        values.append((found.refresh_token.reveal(), found.rotated))
    assert values == [("refresh-1", False), ("b", True), ("b", True), ("c", True), ("c", True)]
    assert found.generation == 6


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("outcome", "state"), [(DEAD, LOST), (NotActedOn(DOWN), READY), (PAUSE, PAUSED)]
)
def test_a_clear_answer_needs_no_rule(outcome: Outcome, state: GrantState, rule: Rule) -> None:
    """What the issuer proved or said counts everywhere alike."""
    after = settle(FIRST, outcome, rule, "write-3", NOON)
    assert (after.state, after.generation, after.claimed_by) == (state, 1, None)
    assert after.refresh_token == FIRST.refresh_token
    assert bool(after.note) is bool(after.reason) is (state is not READY)
    assert after.posts == (1 if state is LOST else 0)


END_OF_A_FIRST_POST: list[Callable[[Rule, Grant], Grant]] = [
    lambda rule, claimed: settle(claimed, UNCLEAR, rule, "write-3", NOON, seconds=5.0),
    lambda rule, claimed: settle_left_claim(claimed, rule, "write-3", 5.0),
]


@pytest.mark.parametrize("end", END_OF_A_FIRST_POST)
@pytest.mark.parametrize("rule", [ASK, GRACE, ONCE_MORE])
def test_a_post_without_an_answer_puts_the_value_in_doubt(
    end: Callable[[Rule, Grant], Grant], rule: Rule
) -> None:
    """By a lost answer or by a lost owner; how old the claim was is kept for the grace."""
    after = end(rule, FIRST)
    assert (after.state, after.posts, after.doubt_seconds) == (IN_DOUBT, 1, 5.0)
    assert (after.generation, after.claimed_by) == (1, None)
    assert after.refresh_token == FIRST.refresh_token
    assert after.note
    assert after.reason


@pytest.mark.parametrize("end", END_OF_A_FIRST_POST)
def test_a_post_without_an_answer_is_nothing_where_a_retry_is_safe(
    end: Callable[[Rule, Grant], Grant],
) -> None:
    """Until one value changed: then the issuer rotates, and it is in doubt like anywhere."""
    after = end(RETRY_SAFE, FIRST)
    assert (after.state, after.posts) == (READY, 0)
    once_rotated = replace(FIRST, rotated=True)
    assert end(RETRY_SAFE, once_rotated).state is IN_DOUBT


def test_while_the_issuer_is_not_believed_a_dead_grant_is_only_paused() -> None:
    """The brake: no verdict stands while it calls too many dead."""
    after = settle(FIRST, DEAD, ASK, "write-3", NOON, believed=False)
    assert (after.state, after.reason, after.posts) == (PAUSED, BRAKED, 0)
    assert release(after, "write-4").state is READY


def test_the_ends_of_tokens_are_remembered() -> None:
    """The latest access token given out counts; a refresh token's end moves when it is told."""
    first = settle(FIRST, renewed(None, expires_in=600.0), ASK, "w", NOON)
    assert first.tokens_until == NOON + seconds(600)
    assert first.refresh_expires_at is None
    again = claim(first, "replica-1", "w2")
    answer = renewed("b", expires_in=60.0, refresh_expires_in=86400.0)
    second = settle(again, answer, ASK, "w3", NOON + seconds(10))
    assert second.tokens_until == NOON + seconds(600)
    assert second.refresh_expires_at == NOON + seconds(86410)


# The one retry


@pytest.mark.parametrize("rule", [ASK, RETRY_SAFE])
def test_without_a_rule_for_it_a_value_in_doubt_is_not_tried_again(rule: Rule) -> None:
    """A replay may revoke more than it could save."""
    assert not may_retry(doubted(), 0.0, rule)
    with pytest.raises(GrantInDoubt):
        judged(doubted(), 1e6, rule)


def test_where_a_replay_hurts_nothing_there_is_one_retry_at_any_time() -> None:
    """As at INDIGO IAM."""
    assert may_retry(doubted(), 1e6, ONCE_MORE)
    assert judged(doubted(), 1e6, ONCE_MORE) is Judgement.GO


@pytest.mark.parametrize(("age", "allowed"), [(0.0, True), (84.9, True), (85.0, False)])
def test_a_retry_within_the_grace_is_timed_from_the_claim(age: float, allowed: bool) -> None:
    """5 s had passed before it was put in doubt; the issuer rotated at the earliest after the claim."""
    assert may_retry(doubted(GRACE, passed=5.0), age, GRACE) is allowed


def test_nothing_is_retried_twice_or_without_a_value() -> None:
    """Whatever the rule."""
    for rule in RULES:
        assert not may_retry(grant(state=IN_DOUBT, posts=2), 0.0, rule)
        assert not may_retry(grant(state=IN_DOUBT, refresh_token=None), 0.0, rule)


def test_a_retry_without_an_answer_stays_in_doubt_for_good() -> None:
    """Log in again; never a third post."""
    after = settle(retried(), UNCLEAR, ONCE_MORE, "write-5", NOON, seconds=2.0)
    assert (after.state, after.posts, after.doubt_seconds) == (IN_DOUBT, 2, 5.0 + 1.0 + 2.0)
    left = settle_left_claim(retried(), ONCE_MORE, "write-5", 2.0)
    assert (left.state, left.posts) == (IN_DOUBT, 2)
    for found in (after, left):
        with pytest.raises(GrantInDoubt):
            judged(found, 0.0, ONCE_MORE)


def test_a_refused_retry_ends_the_grant() -> None:
    """The first post had used the value up."""
    assert settle(retried(), DEAD, ONCE_MORE, "write-5", NOON).state is LOST


@pytest.mark.parametrize(
    ("outcome", "believed"), [(NotActedOn(DOWN), True), (PAUSE, True), (DEAD, False)]
)
def test_a_retry_that_was_not_taken_leaves_the_first_doubt(
    outcome: Outcome, believed: bool
) -> None:
    """It may be made again, within the same grace: the first post is as old as it is."""
    after = settle(retried(), outcome, GRACE, "write-5", NOON, believed=believed, seconds=2.0)
    assert (after.state, after.posts, after.doubt_seconds) == (IN_DOUBT, 1, 5.0 + 1.0 + 2.0)
    assert after.reason == GrantInDoubt.code
    assert may_retry(after, 81.9, GRACE)
    assert not may_retry(after, 82.0, GRACE)


# Whose word counts


SUCCESSOR = settle(FIRST, renewed("refresh-2"), ASK, "ours", NOON)
MINE_IN_DOUBT = settle(FIRST, UNCLEAR, ASK, "ours", NOON)
MINE_GIVEN_BACK = settle(FIRST, NotActedOn(DOWN), ASK, "ours", NOON)
SETTLED_BY_OTHERS = settle_left_claim(FIRST, ASK, "theirs", GOOD_FOR)
RETRIED_BY_OTHERS = claim(SETTLED_BY_OTHERS, "replica-2", "theirs-2")
CLAIMED_BY_OTHERS = claim(MINE_GIVEN_BACK, "replica-2", "theirs-4")
LATER = settle(RETRIED_BY_OTHERS, renewed("refresh-3"), ASK, "theirs-3", NOON)


@pytest.mark.parametrize(
    ("found", "successor", "other"),
    [
        (FIRST, True, True),
        (SETTLED_BY_OTHERS, True, True),
        (RETRIED_BY_OTHERS, True, False),
        (settle(RETRIED_BY_OTHERS, UNCLEAR, ASK, "theirs-3", NOON), True, False),
        (settle(RETRIED_BY_OTHERS, DEAD, ASK, "theirs-3", NOON), True, False),
        (settle(CLAIMED_BY_OTHERS, UNCLEAR, ASK, "theirs-5", NOON), True, False),
        (LATER, False, False),
        (log_out(FIRST, "theirs"), False, False),
        (replace(FIRST, line="line-2"), False, False),
        (succeed(FIRST, grant(write_id="login")), False, False),
    ],
)
def test_a_late_successor_beats_everything_but_a_later_one(
    found: Grant, successor: bool, other: bool
) -> None:
    """Another record of ours counts only while our claim, or the doubt about it, is what stands there."""
    assert may_replace(SUCCESSOR, found, FIRST) is successor
    assert may_replace(MINE_IN_DOUBT, found, FIRST) is other
    assert may_replace(MINE_GIVEN_BACK, found, FIRST) is other


# Logins, logouts, restores, an operator's word


def test_a_logout_leaves_a_tombstone_that_outranks_older_writes() -> None:
    """Without the token, one generation higher."""
    gone = log_out(FIRST, "write-3")
    assert (gone.state, gone.refresh_token, gone.generation) == (ENDED, None, 2)
    assert (gone.claimed_by, gone.line, gone.posts) == (None, "line-1", 0)
    with pytest.raises(LeaseEnded, match="logout"):
        judged(gone, 0)


def test_a_new_login_goes_on_with_the_line() -> None:
    """Running jobs keep their leases; the generation rises over what was there."""
    new = grant(line="line-2", refresh_token=Secret("refresh token", "refresh-9"))
    after = succeed(grant(generation=7, state=LOST, posts=2, rotated=True), new)
    assert (after.line, after.generation, after.state) == ("line-1", 8, READY)
    assert after.refresh_token == new.refresh_token
    assert (after.posts, after.rotated) == (0, True)


def test_a_new_login_remembers_those_before_it_on_its_line() -> None:
    """Their leases live on; after a logout none do, and no record grows for ever."""
    found = grant(login_id="")
    for number in range(MOST_EARLIER_LOGINS + 3):
        found = succeed(found, grant(login_id=f"login-{number}"))
    assert found.login_id == f"login-{MOST_EARLIER_LOGINS + 2}"
    assert found.earlier_logins[-1] == f"login-{MOST_EARLIER_LOGINS + 1}"
    assert len(found.earlier_logins) == MOST_EARLIER_LOGINS
    after = succeed(log_out(found, "w"), grant(login_id="new", line="line-2"))
    assert after.earlier_logins == ()


def test_a_new_login_after_a_logout_begins_a_new_line() -> None:
    """A lease from before can never come back, whoever logs in."""
    tombstone = log_out(grant(generation=7, mail="ada@example.org"), "w")
    assert tombstone.mail == ""
    after = succeed(tombstone, grant(line="line-2", subject="sub-bob"))
    assert (after.line, after.generation) == ("line-2", 9)


@pytest.mark.parametrize("changed", [{"subject": "sub-bob"}, {"issuer_url": "https://other.test/"}])
def test_another_person_under_the_same_key_is_refused(changed: dict[str, str]) -> None:
    """An identity key that comes to name somebody else opens nobody's grant."""
    with pytest.raises(LoginDenied):
        succeed(grant(), grant(**changed))


@pytest.mark.parametrize("state", [READY, CLAIMED, PAUSED, IN_DOUBT, LOST])
def test_a_value_that_a_restored_snapshot_brought_back_is_lost(state: GrantState) -> None:
    """Under the generation seen elsewhere, so that nobody takes the record for older news."""
    after = outdated(grant(state=state, generation=3), 7, "write-9")
    assert (after.state, after.generation, after.reason) == (LOST, 7, RESTORED)
    assert after.write_id == "write-9"
    with pytest.raises(LoginNeeded):
        judged(after, 0)


@pytest.mark.parametrize("state", [PAUSED, LOST])
def test_an_operator_may_say_that_the_issuer_was_wrong(state: GrantState) -> None:
    """The grant is as it was before the issuer's word."""
    after = release(grant(state=state, posts=1, note="n", reason="r"), "write-9")
    assert (after.state, after.posts, after.note, after.reason) == (READY, 0, "", "")
    assert after.refresh_token == grant().refresh_token


def test_why_a_grant_is_lost_is_told_without_the_issuers_words() -> None:
    """Incident 24: notes and sentences hold none of it."""
    for state in GrantState:
        assert "refresh-1" not in repr(why_lost(grant(state=state)))


# The table


DEEDS: dict[Event, Callable[[Grant], Grant]] = {
    Event.CLAIM: lambda found: claim(found, "replica-2", "w"),
    Event.RENEWED: lambda found: settle(found, renewed("b"), ASK, "w", NOON),
    Event.NOT_ACTED_ON: lambda found: settle(found, NotActedOn(DOWN), ASK, "w", NOON),
    Event.REFUSED_FOR_NOW: lambda found: settle(found, PAUSE, ASK, "w", NOON),
    Event.DEAD: lambda found: settle(found, DEAD, ASK, "w", NOON),
    Event.UNCLEAR: lambda found: settle(found, UNCLEAR, ASK, "w", NOON),
    Event.LEFT_BEHIND: lambda found: settle_left_claim(found, ASK, "w", 1.0),
    Event.LOG_IN: lambda found: succeed(found, grant(write_id="w")),
    Event.LOG_OUT: lambda found: log_out(found, "w"),
    Event.OUTDATED: lambda found: outdated(found, 9, "w"),
    Event.RELEASE: lambda found: release(found, "w"),
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", GrantState)
def test_the_table_says_what_happens_and_what_cannot(state: GrantState, event: Event) -> None:
    """A pair that is not in it is an error in whoever asks, and nothing is written."""
    found = grant(state=state, posts=1 if state in {CLAIMED, IN_DOUBT} else 0)
    if (state, event) in MOVES:
        after = DEEDS[event](found)
        assert (after.state, after.write_id) == (MOVES[state, event], "w")
    else:
        with pytest.raises((CredbrokerError, KeyError)):
            DEEDS[event](found)


def test_only_a_claim_leads_to_a_post_and_only_an_answer_from_it() -> None:
    """Nothing else makes a grant ready again but a login, or an operator."""
    into_ready = {(state, event) for (state, event), after in MOVES.items() if after is READY}
    assert {event for state, event in into_ready if state is not CLAIMED} == {
        Event.LOG_IN,
        Event.RELEASE,
    }
    assert {event for (_, event), after in MOVES.items() if after is CLAIMED} == {Event.CLAIM}


@pytest.mark.parametrize(
    ("kept", "asked", "stays"),
    [
        ("storage.read:/ compute.read", "storage.read:/job", True),
        ("storage.read:/ compute.read", "compute.read storage.read:/", False),
        ("storage.read:/job", "storage.read:/", False),
        ("storage.read:/job", "compute.read", False),
        (None, "storage.read:/job", False),
    ],
)
def test_an_access_token_for_less_takes_the_place_of_none_for_more(
    kept: str | None, asked: str, stays: bool
) -> None:
    """The record keeps the one for more; the successor is taken in any case."""
    old, right = Secret("access token", "old"), Right(ScopeSet.parse(asked))
    kept_right = Right(ScopeSet.parse(kept)) if kept is not None else None
    claimed = replace(FIRST, access_token=old if kept else None, access_right=kept_right)
    after = settle(claimed, renewed("successor"), ASK, "write-3", NOON, right=right)
    assert after.refresh_token == Secret("refresh token", "successor")
    assert (after.access_token == old) is stays
    assert after.access_right == (kept_right if stays else right)
