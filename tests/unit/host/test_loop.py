"""A daemon runs on uvloop where that is installed."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from credbroker.host.loop import quick_loop

if TYPE_CHECKING:
    import pytest


def test_the_librarys_own_loop_does_where_uvloop_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing but speed depends on it."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert quick_loop() is None


def test_uvloop_makes_the_loop_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in here; what it makes is run."""
    there = ModuleType("uvloop")
    there.new_event_loop = asyncio.new_event_loop  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "uvloop", there)
    with asyncio.Runner(loop_factory=quick_loop()) as runner:
        assert runner.run(asyncio.sleep(0, "it runs")) == "it runs"  # noqa: TID251 - no time passes
