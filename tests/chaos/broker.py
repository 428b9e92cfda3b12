"""One broker of the campaign: `credbroker serve` with a clock that may be off and waypoints.

At every waypoint it tells the campaign where it is, and for which grant, and waits for the word to
go on; the campaign may kill or freeze it at that very moment. If the campaign is gone, so is it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker import daemon
from credbroker.broker.custody.claiming import Found
from credbroker.broker.custody.successors import Claimed
from credbroker.config.load import load
from credbroker.domain.grants import Grant
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.ports import Stored
from credbroker.telemetry.logging import configure
from tests.chaos.planted import plant

if TYPE_CHECKING:
    from types import FrameType

    from credbroker.ports import Waypoint


class AskedWaypoints:
    """Asks the campaign, over one connection, whether to go on. Follows `ports.Waypoints`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask over a connection that stands."""
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def greet(self, name: str) -> None:
        """Say who asks."""
        self._send({"broker": name, "pid": os.getpid()})

    async def reach(self, point: Waypoint) -> None:
        """Return when the campaign says so."""
        segment, generation = _whose(sys._getframe(1))
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send(
            {"n": number, "point": point.value, "segment": segment, "generation": generation}
        )
        await self._waiting[number]

    async def listen(self) -> None:
        """Take the campaign's words for ever; when it is gone, end this process at once."""
        while line := await self._reader.readline():
            self._waiting.pop(int(line)).set_result(None)
        os._exit(1)

    def _send(self, message: dict[str, object]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")


def _whose(frame: FrameType | None) -> tuple[str, int]:
    """Find the grant that the callers work on, by a look at what they hold."""
    while frame is not None:
        for held in frame.f_locals.values():
            grant = held.grant if isinstance(held, Found | Claimed) else held
            if isinstance(grant, Stored):
                grant = grant.value
            if isinstance(grant, Grant):
                return grant.key.segment(), grant.generation
        frame = frame.f_back
    return "", 0


async def serve(args: argparse.Namespace) -> None:
    """Run until told to stop."""
    settings = load(args.config)
    configure(settings.log.level)
    points = AskedWaypoints(*await asyncio.open_unix_connection(args.points))
    points.greet(args.replica)
    clock = SystemClock(args.offset)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(points.listen())
        await daemon.serve(settings, args.replica, clock, SystemEntropy(), waypoints=points)
        listening.cancel()


def main() -> int:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--replica", required=True)
    parser.add_argument("--points", required=True, help="the campaign's Unix socket")
    parser.add_argument("--offset", type=float, default=0.0, help="how far the clock is off, in s")
    parser.add_argument("--plant", help="a bug that the campaign must find")
    args = parser.parse_args()
    if args.plant:
        plant(args.plant)
    asyncio.run(serve(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
