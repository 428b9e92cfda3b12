"""What was stored last is known once, for as long as Vault counts as it did."""

from __future__ import annotations

from typing import cast

from credbroker.broker.custody import newest
from credbroker.broker.custody.newest import Newest
from credbroker.broker.custody.rewinding import Rewinding
from tests.fakes.clock import FakeClock
from tests.unit.things import grant


class Era:
    """Says which era it is."""

    def __init__(self) -> None:
        self.era: int | None = 1


def known() -> tuple[Newest, Era, FakeClock]:
    """Return a memory that nothing is in yet."""
    era, clock = Era(), FakeClock()
    return Newest(cast("Rewinding", era), clock), era, clock


def test_a_record_is_given_once_with_its_age() -> None:
    """Whoever claims by it writes another one in its place."""
    memory, _, clock = known()
    memory.remember("segment", grant(), 7)
    clock.advance(12)
    stored = memory.take("segment")
    assert stored is not None
    assert (stored.value, stored.version, stored.age_seconds) == (grant(), 7, 12)
    assert memory.take("segment") is None


def test_nothing_is_known_over_a_restore() -> None:
    """Version numbers come again there."""
    memory, era, _ = known()
    memory.remember("segment", grant(), 7)
    era.era = 2
    assert memory.take("segment") is None
    memory.remember("other", grant(), 1)
    assert memory.take("other") is not None


def test_nothing_is_remembered_while_a_restore_might_go_unseen() -> None:
    """An era that is not known is no era."""
    memory, era, _ = known()
    era.era = None
    memory.remember("segment", grant(), 7)
    assert memory.take("segment") is None


def test_room_is_bounded() -> None:
    """What does not fit is read again."""
    memory, _, _ = known()
    for number in range(newest.ROOM + 1):
        memory.remember(str(number), grant(), 1)
    assert memory.take("0") is None
    assert memory.take(str(newest.ROOM)) is not None
