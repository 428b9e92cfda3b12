"""A token is given again for seconds, to its client, for the same; never one that can delete."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.broker.issuing.reusing import Reusing
from credbroker.domain.attenuation import Right
from credbroker.domain.policy import Decision
from credbroker.domain.scopes import ScopeSet
from tests.fakes.clock import FakeClock
from tests.unit.broker.issuing.granting_world import SE1, service
from tests.unit.things import access_token, seconds

if TYPE_CHECKING:
    from credbroker.domain.tokens import AccessToken

CLIENT = service("rucio", reuse_seconds=60)


def decision(scope: str = "storage.read:/", *audiences: str, **changes: Any) -> Decision:
    """Return what was decided for a request."""
    right = Right(ScopeSet.parse(scope), audiences or (SE1,))
    return replace(Decision(right, 3600), **changes)


def token(clock: FakeClock, scope: str = "storage.read:/", life: float = 3600.0) -> AccessToken:
    """Return a token that was signed just now."""
    return access_token(scope, expires_at=clock.now() + seconds(life))


def test_the_same_client_gets_the_same_token_for_the_same() -> None:
    """In whatever order scopes are named, for as long as its settings say."""
    clock = FakeClock()
    reusing, mine = Reusing(clock), token(clock)
    reusing.keep(CLIENT, decision("storage.read:/ fts"), mine)
    clock.advance(59)
    assert reusing.find(CLIENT, decision("fts storage.read:/")) == mine
    clock.advance(1)
    assert reusing.find(CLIENT, decision("storage.read:/ fts")) is None


@pytest.mark.parametrize(
    "other",
    [decision("storage.read:/a"), decision("storage.read:/", "https://other"),
     decision(seconds=60), decision(groups=("/dteam",))],
)  # fmt: skip
def test_another_request_gets_another_token(other: Decision) -> None:
    """Whatever is different."""
    clock = FakeClock()
    reusing = Reusing(clock)
    reusing.keep(CLIENT, decision(), token(clock))
    assert reusing.find(CLIENT, other) is None
    assert reusing.find(service("fts", reuse_seconds=60), decision()) is None


def test_where_it_is_not_wanted_nothing_is_kept() -> None:
    """It is off by default."""
    clock = FakeClock()
    reusing, plain = Reusing(clock), service("rucio")
    reusing.keep(plain, decision(), token(clock))
    assert reusing.find(CLIENT, decision()) is None
    reusing.keep(CLIENT, decision(), token(clock))
    assert reusing.find(plain, decision()) is None


def test_what_can_delete_is_never_given_again() -> None:
    """Each such token stands for itself in the trail."""
    clock = FakeClock()
    reusing, deleting = Reusing(clock), decision("storage.read:/ storage.modify:/a")
    reusing.keep(CLIENT, deleting, token(clock, "storage.read:/ storage.modify:/a"))
    assert reusing.find(CLIENT, deleting) is None


def test_half_of_its_life_is_left_of_what_is_given_again() -> None:
    """However long its client's settings reach."""
    clock = FakeClock()
    reusing, long = Reusing(clock), service("rucio", reuse_seconds=86400)
    reusing.keep(long, decision(seconds=600), token(clock, life=600.0))
    clock.advance(299)
    assert reusing.find(long, decision(seconds=600)) is not None
    clock.advance(1)
    assert reusing.find(long, decision(seconds=600)) is None


def test_a_token_that_was_cut_short_is_not_given_again() -> None:
    """As at the end of its key's time: less than half of what was decided."""
    clock = FakeClock()
    reusing = Reusing(clock)
    reusing.keep(CLIENT, decision(seconds=3600), token(clock, life=1000.0))
    assert reusing.find(CLIENT, decision(seconds=3600)) is None


def test_the_room_is_bounded() -> None:
    """What is over goes first; if all is young, all goes."""
    clock = FakeClock()
    reusing = Reusing(clock, room=2)
    reusing.keep(CLIENT, decision("storage.read:/a"), token(clock))
    clock.advance(60)
    for path in "bcd":
        reusing.keep(CLIENT, decision(f"storage.read:/{path}"), token(clock))
        assert len(reusing._kept) <= 2
    assert reusing.find(CLIENT, decision("storage.read:/d")) is not None
