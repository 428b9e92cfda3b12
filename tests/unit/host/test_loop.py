"""A daemon runs on uvloop where that is installed."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest

from credbroker.host.loop import COLLECT_AFTER, HAND_OVER_SECONDS, collect, quick_loop, take_turns


def test_the_librarys_own_loop_does_where_uvloop_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing but speed depends on it."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert quick_loop() is None


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="uvloop is for CPython alone")
def test_uvloop_makes_the_loop_where_it_is_there() -> None:
    """It is a part of the broker; what it makes is run."""
    with asyncio.Runner(loop_factory=quick_loop()) as runner:
        assert type(runner.get_loop()).__module__.startswith("uvloop")
        assert runner.run(asyncio.sleep(0, "it runs")) == "it runs"  # noqa: TID251 - no time passes


def test_what_only_a_cycle_holds_is_given_back() -> None:
    """Though the collector looks for the like once in a long while."""

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    gone = weakref.ref(Cycle())
    collect()
    assert gone() is None


def test_threads_and_the_collector_take_turns_as_a_server_needs() -> None:
    """A thread waits for half a millisecond, not for five; the collector looks less often."""
    before = sys.getswitchinterval(), gc.get_threshold()
    try:
        take_turns()
        assert sys.getswitchinterval() == pytest.approx(HAND_OVER_SECONDS)
        assert gc.get_threshold() == COLLECT_AFTER
    finally:
        sys.setswitchinterval(before[0])
        gc.set_threshold(*before[1])
