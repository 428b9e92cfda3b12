"""One person's refusal in the client's name is no proof that the client is refused."""

from __future__ import annotations

from credbroker.domain.refusals import Refusals


def test_one_grants_refusals_leave_the_client_in_doubt() -> None:
    """However often it is refused."""
    refusals = Refusals()
    for _ in range(9):
        refusals.refused("ada")
    assert refusals.in_doubt
    assert not refusals.paused


def test_two_grants_without_a_sound_answer_between_them_pause_it() -> None:
    """With one between them they do not."""
    refusals = Refusals()
    refusals.refused("ada")
    refusals.answered()
    refusals.refused("bob")
    assert refusals.in_doubt
    refusals.refused("ada")
    assert refusals.paused


def test_only_a_probe_ends_a_pause() -> None:
    """An answer may be of a refresh that began before it."""
    refusals = Refusals()
    refusals.proven()
    refusals.answered()
    assert refusals.paused
    refusals.accepted()
    assert not refusals.paused


def test_a_trial_that_is_refused_pauses_it_again() -> None:
    """What was said before still counts."""
    refusals = Refusals()
    refusals.refused("ada")
    refusals.refused("bob")
    refusals.tried()
    assert refusals.in_doubt
    refusals.refused("eve")
    assert refusals.paused
