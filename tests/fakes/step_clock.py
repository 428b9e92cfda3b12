"""A clock for programs without an event loop: it moves when somebody waits."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class StepClock(FakeClock):
    """A fake clock whose `block` passes the time at once. Follows `client.blocking.BlockingClock`."""

    def __init__(self, start: datetime.datetime | None = None) -> None:
        """Begin as `FakeClock` does, with nothing planned."""
        super().__init__(start)
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def block(self, seconds: float) -> None:
        """Let `seconds` pass, then do what was planned for until now."""
        self.advance(seconds)
        due = [plan for plan in self._plans if plan[0] <= self.elapsed()]
        self._plans = [plan for plan in self._plans if plan not in due]
        for _, deed in due:
            deed()

    def after(self, seconds: float, deed: Callable[[], object]) -> None:
        """Plan `deed` for the first wait that ends `seconds` from now or later."""
        self._plans.append((self.elapsed() + seconds, deed))

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as somebody who sets it does."""
        self._now += datetime.timedelta(seconds=seconds)


class TrueTime:
    """The wall clock of a machine whose time nobody moves, beside one whose time is moved."""

    def __init__(self, clock: StepClock) -> None:
        """Go on from what `clock` shows now."""
        self._start = clock.now() - datetime.timedelta(seconds=clock.elapsed())
        self._clock = clock

    def now(self) -> datetime.datetime:
        """Return the time as it truly is."""
        return self._start + datetime.timedelta(seconds=self._clock.elapsed())
