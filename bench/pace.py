"""How fast something goes when a number of hands do it over and over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.machine import cpu_seconds
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence


@dataclass(frozen=True)
class Pace:
    """What was done in how many seconds, and the CPU seconds that each program used for it."""

    done: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.done / self.seconds

    def cpu_each(self, program: str) -> float:
        """Return the CPU milliseconds that a program used for each one."""
        return 1000 * self.cpu[program] / self.done


async def keep_at_it(
    deeds: Sequence[Callable[[], Awaitable[object]]], seconds: float, pids: Mapping[str, int]
) -> Pace:
    """Do each deed again and again, all at once, until time is up; what was begun is finished."""
    clock, done = SystemClock(), 0
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    began = clock.elapsed()

    async def repeat(deed: Callable[[], Awaitable[object]]) -> None:
        nonlocal done
        while clock.elapsed() - began < seconds:
            await deed()
            done += 1

    async with asyncio.TaskGroup() as hands:
        for deed in deeds:
            hands.create_task(repeat(deed))
    lasted = clock.elapsed() - began
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return Pace(done, lasted, cpu)
