"""An event loop whose time passes only while everybody waits: a day takes as long as its work."""

from __future__ import annotations

import asyncio
import datetime
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_START = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


class VirtualClock:
    """The loop's time as `ports.Clock`."""

    def __init__(self) -> None:
        """Begin at midnight UTC on 1 June 2026, 1000 s after boot."""
        self.passed = 0.0

    def now(self) -> datetime.datetime:
        """Return the made-up wall-clock time."""
        return _START + datetime.timedelta(seconds=self.passed)

    def elapsed(self) -> float:
        """Return the seconds since a made-up boot."""
        return 1000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 - this loop's time is the clock's


def run(deed: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """Run a deed by a clock that leaps to whatever is waited for next."""
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(deed(clock))


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Leaping(clock))
        self._leaping = clock

    def time(self) -> float:
        return self._leaping.passed


class _Leaping(selectors.DefaultSelector):
    """Where a loop would wait, time leaps instead; no socket and no thread is waited for."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("Everybody waits, and for nothing that time will bring.")
        self._clock.passed += max(0.0, timeout)
        return super().select(0)
