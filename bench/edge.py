"""Tokens at the edge: a whole access point beside the stock credmon's loop, and a job's agent."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.child import ask_child
from bench.edge_agent import measure
from bench.edge_point import SERVICE, Point, clock, credmon, opened, until_complete
from bench.machine import cpu_seconds
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate
from credbroker import zipapp

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS, FEW = 10_000, 300
SLOW_MILLISECONDS = 100
LIMIT_LOOK_SECONDS, LIMIT_NEW_MILLISECONDS = 0.2, 200.0
LIMIT_RESIDENT_MB, LIMIT_REST_PERCENT, LIMIT_PYZ_KB = 35.0, 0.1, 500.0
NEW_ONES = 20

_STOCK = (
    "The peer is HTCondor's own loop, re-created: one GET after the other over one connection that is"
    " kept, the same files in the same folders, written beside and renamed. It flushes nothing to"
    " disk; ours flushes each file and its folder. Ours counts from the start of the program."
)
AT_ONCE = Claim("edge", f"{USERS:,} credentials due at once", "at least", 3.0, "per second", _STOCK)
SLOW = Claim(
    "edge", f"{USERS:,} credentials due at once, from a server that takes {SLOW_MILLISECONDS} ms",
    "at least", 100.0, "per second", f"{_STOCK} The peer's rate is that of its first {FEW}.",
)  # fmt: skip
LOOK = Claim(
    "edge", f"a look at {USERS:,} users with nothing due", "at most", 1.0, "CPU seconds",
    f"The limit is {LIMIT_LOOK_SECONDS} s of CPU time.",
)  # fmt: skip
NEW = Claim(
    "edge", "from a new credential to its token", "at most", 1.0, "milliseconds",
    f"The limit is {LIMIT_NEW_MILLISECONDS:.0f} ms for the slowest of {NEW_ONES}, with {USERS:,} users"
    " there already.",
)  # fmt: skip
RESIDENT = Claim(
    "edge", "memory of a job's agent at rest", "at most", 1.0, "MB",
    f"The limit is {LIMIT_RESIDENT_MB:.0f} MB; credbroker.pyz under `python -I -S`.",
)  # fmt: skip
REST = Claim(
    "edge", "CPU of a job's agent at rest", "at most", 1.0, "percent of a core",
    f"The limit is {LIMIT_REST_PERCENT} %.",
)  # fmt: skip
PYZ = Claim(
    "edge", "size of credbroker.pyz", "at most", 1.0, "kB", f"The limit is {LIMIT_PYZ_KB:.0f} kB."
)


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Renew at two speeds, look, wait for a new one, and weigh the agent."""
    users, rounds = (1_000, 1) if quick else (USERS, 3)
    fast = await _renewed(folder / "fast", (users, users), 0, rounds)
    slow = await _renewed(folder / "slow", (users, FEW), SLOW_MILLISECONDS, 1)
    looks, new, idle = await _at_rest(folder / "rest", users)
    agent = await measure(folder / "agent", 5.0 if quick else 20.0)
    size = await asyncio.to_thread(_pyz_bytes, folder)
    counted = {"users": float(users)}
    return [
        figure(AT_ONCE, fast[0], fast[1] | counted),
        figure(SLOW, slow[0], slow[1] | counted),
        figure(LOOK, _within(looks, LIMIT_LOOK_SECONDS), counted | idle),
        figure(NEW, _within([max(new)], LIMIT_NEW_MILLISECONDS), {"median": median(new)}),
        figure(RESIDENT, _within([agent["megabytes"]], LIMIT_RESIDENT_MB)),
        figure(REST, _within([agent["percent"]], LIMIT_REST_PERCENT)),
        figure(PYZ, _within([size / 1000], LIMIT_PYZ_KB)),
    ]


def _within(seen: list[float], limit: float) -> Rounds:
    return Rounds(tuple(seen), tuple([limit] * len(seen)))


async def _renewed(
    folder: Path, users: tuple[int, int], milliseconds: int, rounds: int
) -> tuple[Rounds, dict[str, float]]:
    """Renew for so many users, ours and the stock loop's, each time in a folder of its own."""
    await asyncio.to_thread(folder.mkdir)
    places = iter(range(2 * rounds))
    sides = {
        "ours": partial(_ours, folder, places, users[0], milliseconds),
        "stock": partial(_stock, folder, places, users[1], milliseconds),
    }
    seen = await alternate(sides, rounds)
    ours, stock = ([one["per second"] for one in seen[side]] for side in ("ours", "stock"))
    beside = {"CPU ms per credential, ours": median(one["cpu"] for one in seen["ours"])}
    return Rounds(tuple(ours), tuple(stock)), beside


async def _ours(
    folder: Path, places: Iterator[int], users: int, milliseconds: int
) -> dict[str, float]:
    async with opened(folder / str(next(places)), users, milliseconds) as point:
        began = clock.elapsed()
        async with credmon(point) as running:
            seconds = await until_complete(point, users) - began
            cpu = cpu_seconds(running.pid)
    return {"per second": users / seconds, "cpu": 1000 * cpu / users}


async def _stock(
    folder: Path, places: Iterator[int], users: int, milliseconds: int
) -> dict[str, float]:
    async with opened(folder / str(next(places)), users, milliseconds) as point:
        seen = await ask_child("bench.edge_stock", point.credentials, point.ca_file)
    return {"per second": seen["renewed"] / seen["seconds"], "idle": seen["idle"]}


async def _at_rest(folder: Path, users: int) -> tuple[list[float], list[float], dict[str, float]]:
    """Return what looks cost, how many ms new credentials took, and the stock loop's own look."""
    async with opened(folder, users, 0) as point:
        stock = await ask_child("bench.edge_stock", point.credentials, point.ca_file)
        async with credmon(point):
            await until_complete(point, users)
            new = [await _new(point, users + number) for number in range(NEW_ONES)]
        seen = await ask_child("bench.edge_idle", point.credentials, point.port)
    return seen["looks"], new, {"the stock loop's look": stock["idle"]}


async def _new(point: Point, number: int) -> float:
    """Store one more user's credential; return how many ms later the token was there."""
    user = point.user(number)
    await asyncio.to_thread(user.mkdir, 0o700)
    await clock.sleep(0.1)  # the credd makes the folder before it asks for a login
    began = clock.elapsed()
    await asyncio.to_thread(point.store, user)
    while not (user / f"{SERVICE}.use").exists():
        await clock.sleep(0.001)
    return (clock.elapsed() - began) * 1000


def _pyz_bytes(folder: Path) -> int:
    made = folder / "credbroker.pyz"
    zipapp.build(made)
    return made.stat().st_size
