"""An operator's word takes the brake off and gives logins back, and no more of them than it should."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.admin.release import release
from credbroker.domain.errors import NotFound, RecordDamaged, StoreUnavailable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import BRAKED, RESTORED
from credbroker.domain.names import GrantKey
from tests.unit.admin.rooms import ISSUER, Rooms
from tests.unit.things import grant

if TYPE_CHECKING:
    from tests.fakes.clock import FakeClock


def of(person: str, **changes: Any) -> Grant:
    """Return somebody's grant at the issuer."""
    return grant(**{"key": GrantKey(ISSUER, person, "default"), **changes})


def kept_back(person: str, **changes: Any) -> Grant:
    """Return a grant that was called dead while the brake was on."""
    return of(person, **{"state": GrantState.PAUSED, "reason": BRAKED, **changes})


def lost(person: str, **changes: Any) -> Grant:
    """Return a grant that the issuer called dead, and was believed."""
    return of(person, **{"state": GrantState.LOST, "reason": "login_needed", "posts": 1, **changes})


def state(rooms: Rooms, one: Grant) -> GrantState:
    """Return how a grant stands now."""
    return rooms.grants.newest(one.key.segment()).state


async def braked(rooms: Rooms) -> None:
    """Put the brake on now."""
    await rooms.mark_as(braked_at=rooms.clock.now(), braked_by="one", rotates=True)


async def test_the_brake_is_off_and_what_it_kept_back_is_ready(rooms: Rooms) -> None:
    """And what else is known of the issuer stays."""
    await braked(rooms)
    one = kept_back("ada", posts=0)
    await rooms.give(one)
    await release(rooms.office, ISSUER, restore=False)
    assert (rooms.mark.braked_at, rooms.mark.rotates) == (None, True)
    assert state(rooms, one) is GrantState.READY
    assert "1 login kept back by it" in rooms.answered()
    assert rooms.audit.last("issuer_released")["released"] == 1


@pytest.mark.parametrize(
    "other",
    [
        of("ada", state=GrantState.PAUSED, reason="grant_paused"),
        kept_back("ada", key=GrantKey("egi", "ada", "default")),
        lost("ada"),
        of("ada", state=GrantState.IN_DOUBT, posts=1),
        of("ada", state=GrantState.ENDED, refresh_token=None),
    ],
    ids=lambda one: f"{one.key.issuer}-{one.state.value}",
)
async def test_nothing_else_is_touched(rooms: Rooms, other: Grant) -> None:
    """Paused for another reason, at another issuer, lost, in doubt, or ended."""
    await braked(rooms)
    await rooms.give(other)
    await release(rooms.office, ISSUER, restore=False)
    assert rooms.grants.newest(other.key.segment()) == other


async def test_what_was_lost_shortly_before_the_brake_comes_back_if_asked_for(
    rooms: Rooms, clock: FakeClock
) -> None:
    """From 10 minutes before it came on; what was lost earlier was lost for good."""
    early, late, after = lost("ada"), lost("bob"), lost("cyd")
    await rooms.give(early)
    clock.advance(400.0)
    await rooms.give(late)
    clock.advance(300.0)
    await braked(rooms)
    clock.advance(5000.0)
    await rooms.give(after)
    await release(rooms.office, ISSUER, restore=True)
    states = [state(rooms, one) for one in (early, late, after)]
    assert states == [GrantState.LOST, GrantState.READY, GrantState.READY]
    assert "2 logins lost since" in rooms.answered()


@pytest.mark.parametrize(
    "gone",
    [
        lost("ada", reason=RESTORED),
        lost("ada", posts=2),
        lost("ada", refresh_token=None),
    ],
    ids=["used since a snapshot", "posted twice", "no token"],
)
async def test_what_may_be_spent_never_comes_back(rooms: Rooms, gone: Grant) -> None:
    """The issuer's mistake is no proof about a value that was used elsewhere, or posted twice."""
    await braked(rooms)
    await rooms.give(gone)
    await release(rooms.office, ISSUER, restore=True)
    assert state(rooms, gone) is GrantState.LOST


async def test_without_a_brake_it_is_not_known_what_was_lost_wrongly(rooms: Rooms) -> None:
    """So that is refused; a plain release still gives back what an earlier one left."""
    one = kept_back("ada")
    await rooms.give(one)
    with pytest.raises(NotFound, match="No brake is on at cms"):
        await release(rooms.office, ISSUER, restore=True)
    await release(rooms.office, ISSUER, restore=False)
    assert state(rooms, one) is GrantState.READY
    assert "No brake was on at cms" in rooms.answered()


async def test_breaking_off_leaves_the_brake_on(rooms: Rooms) -> None:
    """So the command can simply be given again."""
    await braked(rooms)
    await rooms.give(kept_back("ada"))
    rooms.grants.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="put")
    with pytest.raises(StoreUnavailable):
        await release(rooms.office, ISSUER, restore=False)
    assert rooms.mark.braked_at is not None
    await release(rooms.office, ISSUER, restore=False)
    assert rooms.mark.braked_at is None


async def test_a_login_that_is_used_meanwhile_is_looked_at_again(rooms: Rooms) -> None:
    """A new login in its place is not written over."""
    await braked(rooms)
    one = kept_back("ada")
    await rooms.give(one)
    renewed = replace(one, state=GrantState.READY, write_id="somebody-else", generation=2)
    real_get = rooms.grants.get

    async def get(segment: str) -> Any:
        found = await real_get(segment)
        if rooms.grants.newest(segment) is one:
            await rooms.grants.put(segment, renewed, 1)
        return found

    rooms.grants.get = get  # type: ignore[method-assign]  # somebody writes after our first reading
    await release(rooms.office, ISSUER, restore=False)
    assert rooms.grants.newest(one.key.segment()) == renewed
    assert "0 logins kept back" in rooms.answered()


async def test_a_damaged_record_keeps_no_other_from_its_release(rooms: Rooms) -> None:
    """It is counted."""
    await braked(rooms)
    for person in ("ada", "bob"):
        await rooms.give(kept_back(person))
    rooms.grants.fail_next(RecordDamaged("A record is damaged."), on="get")
    await release(rooms.office, ISSUER, restore=False)
    assert "1 login kept back" in rooms.answered()
    assert "1 record cannot be read" in rooms.answered()


async def test_an_unknown_issuer_is_refused_with_the_names_there_are(rooms: Rooms) -> None:
    """Before anything is asked of anybody."""
    with pytest.raises(NotFound, match="no issuer 'atlas'") as refused:
        await release(rooms.office, "atlas", restore=False)
    assert refused.value.remedy == "They name: cms, egi."
