"""When an issuer in trouble is left alone, and how it is tried again."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.breaker import (
    SUSPECTS_WAIT_SECONDS,
    Breaker,
    Evidence,
    Hearsay,
    Phase,
    evidence,
)
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    GrantPaused,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerSpared,
    IssuerUnreachable,
    LoginNeeded,
    StoreUnavailable,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.secret import Secret

PART = 8
ADA, BOB = GrantKey("cms", "ada", "default"), GrantKey("cms", "bob", "default")
HOUR = 3600.0


def after(breaker: Breaker, *seen: Evidence, now: float = 0.0, part: int = PART) -> Breaker:
    """Return the breaker after refreshes of different grants that ended so."""
    return reduce(lambda one, what: one.noted(what, now, part=part, unclear=True), seen, breaker)


def trial(breaker: Breaker, seen: Evidence, now: float = 0.0) -> Breaker:
    """Return the breaker after a trial that ended so."""
    return after(breaker.offered(None).entered(), seen, now=now).left()


OPEN = after(Breaker(), *[Evidence.SILENT] * 3)


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        (Renewed(Secret("access token", "access")), Evidence.SPOKE),
        (Dead(LoginNeeded("No longer accepted.")), Evidence.SPOKE),
        (NotActedOn(GrantPaused("Sign the policy.")), Evidence.SPOKE),
        (NotActedOn(IssuerRefusedRequest("Not this scope.")), Evidence.SPOKE),
        (Unclear(IssuerRefusedRequest("Not this audience.")), Evidence.SPOKE),
        (NotActedOn(IssuerFailed("Too many.")), Evidence.FAILED),
        (NotActedOn(IssuerFailed("Too many."), 30.0), Evidence.SPOKE),
        (Unclear(IssuerFailed("Overloaded."), 30.0), Evidence.FAILED),
        (Unclear(IssuerMisbehaved("HTML.")), Evidence.FAILED),
        (Unclear(IssuerUnreachable("Nothing.")), Evidence.SILENT),
        (NotActedOn(IssuerUnreachable("Refused.")), Evidence.SILENT),
        (IssuerUnreachable("Refused."), Evidence.SILENT),
        (IssuerFailed("No keys."), Evidence.FAILED),
        (NotActedOn(ClientRejected("Wrong secret.")), Evidence.REFUSED_US),
        (ClientRejected("Wrong secret."), Evidence.REFUSED_US),
        (NotActedOn(StoreUnavailable("Sealed.")), Evidence.NOTHING),
        (IssuerSpared("Not now."), Evidence.NOTHING),
    ],
)
def test_each_end_of_a_refresh_says_something_of_the_issuer(
    what: Outcome | CredbrokerError, seen: Evidence
) -> None:
    """A refusal is an answer; what Vault does says nothing of the issuer."""
    assert evidence(what) is seen


def test_three_in_a_row_without_an_answer_open_it() -> None:
    """Not three in all: an answer between them says that the issuer is there."""
    twice = after(Breaker(), Evidence.SILENT, Evidence.SILENT)
    assert twice.phase is Phase.CLOSED
    assert after(twice, Evidence.SPOKE, Evidence.SILENT, Evidence.SILENT).phase is Phase.CLOSED
    assert after(twice, Evidence.SILENT).phase is Phase.OPEN


def test_a_replica_with_fewer_places_opens_it_sooner() -> None:
    """Else many replicas with one place each would lose three logins each."""
    assert after(Breaker(), Evidence.SILENT, part=1).phase is Phase.OPEN
    assert after(Breaker(), Evidence.SILENT, part=2).phase is Phase.CLOSED


def test_who_got_no_answer_keeps_the_place() -> None:
    """So no more refreshes go unanswered than there are places."""
    silent = after(Breaker(), Evidence.SILENT, Evidence.SILENT)
    assert silent.places(PART) == PART - 2
    assert after(silent, Evidence.SPOKE).places(PART) == PART


def test_a_part_that_shrinks_below_the_silence_leaves_one_place() -> None:
    """With none, nobody could ever find out."""
    assert after(Breaker(), Evidence.SILENT, Evidence.SILENT).places(1) == 1


def test_one_grant_that_never_gets_an_answer_does_not_open_it() -> None:
    """However often; it keeps one place, so that two more grants are enough."""
    breaker = Breaker()
    for _ in range(50):
        breaker = breaker.noted(Evidence.SILENT, 0.0, part=PART, key=ADA)
    assert breaker.phase is Phase.CLOSED
    assert breaker.places(PART) == PART - 1
    assert after(breaker, Evidence.SILENT, Evidence.SILENT).phase is Phase.OPEN


def test_who_opened_it_does_not_win_its_trial_for_a_minute() -> None:
    """Somebody else's refresh says more; if nobody else comes, then be it."""
    offered = Breaker().noted(Evidence.SILENT, 0.0, part=1, key=ADA).offered(None, 9.0)
    assert not offered.admits(ADA, 9.0)
    assert offered.admits(BOB, 9.0)
    assert offered.admits(ADA, 9.0 + SUSPECTS_WAIT_SECONDS)


def test_who_failed_a_trial_is_a_suspect_until_it_gets_an_answer() -> None:
    """Its silence does not open the breaker that others have closed."""
    failed = OPEN.offered(None).entered().noted(Evidence.SILENT, 0.0, part=PART, key=ADA)
    assert ADA in failed.suspects
    closed = trial(failed, Evidence.SPOKE)
    for _ in range(9):
        closed = closed.noted(Evidence.SILENT, 0.0, part=PART, key=ADA)
    assert closed.phase is Phase.CLOSED
    assert ADA not in closed.noted(Evidence.SPOKE, 0.0, part=PART, key=ADA).suspects


def test_five_grants_in_a_row_that_it_failed_on_open_it() -> None:
    """It is not each of them."""
    four = after(Breaker(), *[Evidence.FAILED] * 4)
    assert four.phase is Phase.CLOSED
    assert after(four, Evidence.FAILED).phase is Phase.OPEN
    assert after(four, Evidence.SPOKE, Evidence.FAILED).phase is Phase.CLOSED


def test_one_grant_that_it_always_fails_on_does_not_open_it() -> None:
    """It is the grant, and the others must not wait for it."""
    breaker = Breaker()
    for _ in range(50):
        breaker = breaker.noted(Evidence.FAILED, 0.0, part=PART, key=ADA)
    assert breaker.phase is Phase.CLOSED


def test_what_began_before_it_opened_changes_nothing() -> None:
    """Such an answer may come from before the trouble, such a silence was counted with the rest."""
    assert after(OPEN, Evidence.SPOKE, Evidence.SILENT, Evidence.FAILED) == OPEN


def test_only_the_chosen_grant_passes_as_a_trial() -> None:
    """It is the one whose loss would cost least."""
    offered = OPEN.offered(ADA)
    assert offered.admits(ADA, 0.0)
    assert not offered.admits(BOB, 0.0)
    assert not offered.admits(None, 0.0)
    assert not offered.entered().admits(ADA, 0.0)


def test_an_offer_to_anybody_is_taken_once() -> None:
    """There are never two trials at once."""
    offered = OPEN.offered(None)
    assert offered.admits(BOB, 0.0)
    assert offered.places(PART) == 1
    assert offered.entered().places(PART) == 0


def test_an_offer_that_nobody_took_can_be_withdrawn() -> None:
    """One that was taken cannot."""
    offered = OPEN.offered(ADA)
    assert offered.withdrawn() == OPEN
    assert offered.entered().withdrawn() == offered.entered()


def test_a_trial_without_any_evidence_was_none() -> None:
    """Vault was away, say: the issuer was never asked."""
    assert trial(OPEN, Evidence.NOTHING) == OPEN


def test_a_trial_that_failed_at_no_risk_costs_no_pause() -> None:
    """A connection that did not come about cost nobody a login."""
    under_way = OPEN.offered(None).entered()
    failed = under_way.noted(Evidence.SILENT, 9.0, part=PART, key=ADA, unclear=False)
    assert failed == replace(OPEN, suspects=OPEN.suspects | {ADA})


def test_closed_again_it_widens_with_each_answer() -> None:
    """So that those who waited do not all come at once."""
    breaker = trial(OPEN, Evidence.SPOKE)
    places = []
    for _ in range(PART):
        places.append(breaker.places(PART))
        breaker = after(breaker, Evidence.SPOKE)
    assert places == [1, 2, 3, 4, 5, 6, 7, 8]
    assert breaker == Breaker()


def test_opening_again_before_it_has_all_its_places_is_a_failed_trial() -> None:
    """An issuer that answers every other refresh must not cost a login each time."""
    breaker = after(trial(OPEN, Evidence.SPOKE), Evidence.SILENT, now=5.0)
    assert breaker.phase is Phase.OPEN
    assert breaker.trials == 1
    assert breaker.trial_at(0, 1, costly=True) > 1000


def test_trials_that_cost_nothing_are_due_at_once() -> None:
    """Their pauses are those of the probes."""
    assert trial(OPEN, Evidence.SILENT, now=9.0).trial_at(0, 1, costly=False) == 9.0


@given(count=st.integers(1, 8), hang=st.floats(0, 120))
def test_all_replicas_together_make_three_costly_trials_in_three_hours(
    count: int, hang: float
) -> None:
    """Each in its turn, and the first of them at once."""
    times = []
    for rank in range(count):
        breaker = OPEN
        while (at := breaker.trial_at(rank, count, costly=True)) < 3 * HOUR:
            times.append(at)
            breaker = trial(breaker, Evidence.SILENT, now=at + hang)
    assert len(times) == 3
    assert min(times) == 0


def test_who_hears_that_others_are_answered_tries_once_out_of_turn() -> None:
    """Once: it may be our own way to the issuer that is broken."""
    breaker = OPEN.heard(7).heard(3)
    assert breaker.trial_at(5, 6, costly=True) > HOUR
    breaker = breaker.heard(4)
    assert breaker.trial_at(5, 6, costly=True) == 0
    breaker = trial(breaker, Evidence.SILENT, now=60.0).heard(5).heard(99)
    assert breaker.hearsay is Hearsay.USED
    assert breaker.trial_at(5, 6, costly=True) > HOUR


@given(st.lists(st.sampled_from(["enter", "leave", "offer", "withdraw", *Evidence]), max_size=80))
def test_whatever_happens_there_are_never_two_trials_at_once(steps: list[str | Evidence]) -> None:
    """And while it is closed at least one may pass."""
    breaker, inside = Breaker(), 0
    for step in steps:
        if step == "enter" and breaker.admits(ADA, 0.0) and inside < breaker.places(PART):
            breaker, inside = breaker.entered(), inside + 1
        elif step == "offer" and not inside:
            breaker = breaker.offered(None)
        elif step == "withdraw":
            breaker = breaker.withdrawn()
        elif inside and isinstance(step, Evidence):
            breaker = after(breaker, step)
        elif inside and step == "leave":
            breaker, inside = breaker.left(), inside - 1
        assert breaker.phase is not Phase.TRIAL or inside == 1
        assert breaker.phase is not Phase.CLOSED or breaker.places(PART) >= 1
