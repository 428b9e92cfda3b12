"""When Vault last came back, as one process saw it."""

from __future__ import annotations

from credbroker.broker.custody.outages import Outages
from tests.fakes.clock import FakeClock


def test_a_process_that_starts_counts_as_if_an_outage_had_just_ended() -> None:
    """It cannot know, and a spool of its host may be waiting."""
    clock = FakeClock()
    outages = Outages(clock)
    assert outages.seconds_since() == 0
    clock.advance(30)
    assert outages.seconds_since() == 30


def test_an_outage_counts_from_its_end() -> None:
    """However often it was noticed."""
    clock = FakeClock()
    outages = Outages(clock)
    clock.advance(100)
    outages.failed()
    clock.advance(100)
    outages.failed()
    assert outages.seconds_since() == 0
    outages.answered()
    clock.advance(5)
    outages.answered()
    assert outages.seconds_since() == 5
