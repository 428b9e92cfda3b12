"""Whoever cannot use a grant is told why, and what to do."""

from __future__ import annotations

import pytest

from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    GrantPaused,
    LeaseEnded,
    LoginNeeded,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.losses import BRAKED, braked, why_lost
from tests.unit.things import grant


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (GrantState.PAUSED, GrantPaused),
        (GrantState.IN_DOUBT, GrantInDoubt),
        (GrantState.LOST, LoginNeeded),
        (GrantState.ENDED, LeaseEnded),
    ],
)
def test_each_state_has_its_own_words(state: GrantState, kind: type[CredbrokerError]) -> None:
    """None of them repeats the token, and each says what to do."""
    told = why_lost(grant(state=state))
    assert type(told) is kind
    assert told.remedy
    assert "refresh-1" not in f"{told.sentence} {told.remedy}"


@pytest.mark.parametrize("state", [GrantState.IN_DOUBT, GrantState.LOST])
def test_a_lost_login_is_told_with_the_command_that_mends_it(state: GrantState) -> None:
    """With issuer and role, if a login is what helps."""
    assert "credbroker login" in why_lost(grant(state=state)).remedy


@pytest.mark.parametrize("state", [GrantState.PAUSED, GrantState.ENDED])
def test_what_the_record_says_comes_first(state: GrantState) -> None:
    """It knows better than the state."""
    assert (
        why_lost(grant(state=state, note="Because of the moon.")).sentence == "Because of the moon."
    )


def test_what_the_brake_keeps_back_is_known_by_its_reason() -> None:
    """So that its end can give it back."""
    assert braked().code == BRAKED
