"""Where the brokers are: the campaign's end of their waypoints, and what strikes them there.

A strike is armed for one point, for one broker or for whichever comes first; it happens at the very
moment a broker says that it is there, before the broker may go on.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from credbroker.ports import Clock


@dataclass(frozen=True)
class Reached:
    """A broker said that it is at a point, for a grant; `life` counts that broker's starts."""

    at: float
    broker: str
    life: int
    point: str
    segment: str
    generation: int


@dataclass
class Armed:
    """A strike that waits; `struck` holds where it struck, once it has."""

    point: str
    broker: str | None
    strike: Callable[[Reached], Awaitable[bool]]
    struck: asyncio.Future[Reached] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Points:
    """The server that brokers ask at every waypoint."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Listen at `path`, once `open` was called."""
        self._path = path
        self._clock = clock
        self._armed: list[Armed] = []
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self.lives: Counter[str] = Counter()
        self.reached: list[Reached] = []
        self._spools: dict[tuple[str, int], set[tuple[str, int]]] = {}
        self.hits: Counter[str] = Counter()

    @property
    def path(self) -> Path:
        """The Unix socket that brokers connect to."""
        return self._path

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def close(self) -> None:
        """Hang up on every broker, which ends those that still run."""
        if self._server is not None:
            self._server.close()
        for writer in self._serving.values():
            writer.close()
        if self._serving:
            await asyncio.wait(set(self._serving))

    def arm(
        self,
        point: str,
        strike: Callable[[Reached], Awaitable[bool]],
        broker: str | None = None,
    ) -> Armed:
        """Let `strike` happen the next time that `broker`, or any, is at `point`."""
        armed = Armed(point, broker, strike)
        self._armed.append(armed)
        return armed

    def disarm(self, armed: Armed) -> None:
        """Forget a strike that did not happen."""
        if armed in self._armed:
            self._armed.remove(armed)

    def spooled(self, broker: str, life: int, segment: str, generation: int) -> bool:
        """Tell if this life of a broker said that it has this very successor in its spool."""
        return (broker, life) in self._spools.get((segment, generation), ())

    def spooled_by_any(self, segment: str, generation: int) -> bool:
        """Tell if anybody ever had this successor in a spool."""
        return (segment, generation) in self._spools

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            broker = str(json.loads(await _line(reader))["broker"])
            self.lives[broker] += 1
            life = self.lives[broker]
            async with asyncio.TaskGroup() as tasks:
                while line := await _line(reader):
                    tasks.create_task(self._answer(json.loads(line), broker, life, writer))
        except ValueError:
            pass  # it was killed in the middle of a word
        finally:
            writer.close()
            self._serving.pop(task)

    async def _answer(
        self, said: dict[str, object], broker: str, life: int, writer: asyncio.StreamWriter
    ) -> None:
        reached = Reached(
            self._clock.elapsed(), broker, life, str(said["point"]), str(said["segment"]),
            int(str(said["generation"])),
        )  # fmt: skip
        self.reached.append(reached)
        if reached.point == "spooled":
            whose = (reached.segment, reached.generation)
            self._spools.setdefault(whose, set()).add((broker, life))
        if await self._struck(reached) and not writer.is_closing():
            writer.write(f"{said['n']}\n".encode())

    async def _struck(self, reached: Reached) -> bool:
        for armed in self._armed:
            if armed.point == reached.point and armed.broker in {None, reached.broker}:
                self._armed.remove(armed)
                goes_on = await armed.strike(reached)
                self.hits[reached.point] += 1
                armed.struck.set_result(reached)
                return goes_on
        return True


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return what a broker says next; nothing once it is gone, however it went."""
    try:
        return await reader.readline()
    except OSError:
        return b""
