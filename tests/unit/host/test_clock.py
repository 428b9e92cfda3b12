"""The machine's clock; what it shares with the fake is in the contract."""

from __future__ import annotations

import time

from credbroker.host.clock import SystemClock


def test_elapsed_counts_from_boot_with_sleep_of_the_machine() -> None:
    """So that a claim's deadline passes also while a laptop sleeps."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SystemClock().elapsed() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_block_waits_without_a_loop() -> None:
    """And not at all for less than nothing."""
    begun = SystemClock().elapsed()
    SystemClock().block(-5)
    SystemClock().block(0.01)
    assert 0.01 <= SystemClock().elapsed() - begun < 5


def test_an_offset_shifts_the_wall_clock_alone() -> None:
    """Which `seconds` and `now` tell alike."""
    for offset in (0.0, -90.0, 3600.0):
        clock = SystemClock(offset)
        began = SystemClock().seconds() + offset
        for told in (clock.seconds(), clock.now().timestamp()):
            assert -0.001 <= told - began < 5
