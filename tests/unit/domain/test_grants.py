"""A grant's record shows nobody its refresh token."""

from __future__ import annotations

from credbroker.domain.grants import GrantState
from tests.unit.things import grant


def test_a_grant_does_not_show_its_token() -> None:
    """Only a fingerprint, by which two values can be told apart."""
    shown = f"{grant()!r} {grant()}"
    assert "refresh-1" not in shown
    assert "<refresh token " in shown


def test_the_states_have_the_words_that_the_store_keeps() -> None:
    """A renamed state would make every stored record unreadable."""
    words = {state.name: state.value for state in GrantState}
    assert (
        words.items()
        >= {
            "READY": "ready",
            "CLAIMED": "claimed",
            "IN_DOUBT": "in_doubt",
            "LOST": "lost",
            "ENDED": "ended",
        }.items()
    )
