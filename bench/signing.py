"""Tokens for files signed in batches, per second and core, against the signature alone."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from bench.bare_signing import on_cores
from bench.child import tell_child
from bench.minting import FILES, Task
from bench.names import ES256_BATCH, RS256_BATCH
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate

if TYPE_CHECKING:
    from pathlib import Path

_PEER = (
    "The peer is the signature alone: `cryptography` in a loop, in the same program on the same core."
    " Ours is the whole request, without HTTP: its JSON is read, each entry held against policy, the"
    " claims written, signed, put on the audit trail and on disk, and the line of the answer written."
)
ES256 = Claim(
    "signing", ES256_BATCH, "at least", 0.50, "per second", _PEER
)  # fmt: skip
RS256 = Claim(
    "signing", RS256_BATCH, "at least", 0.90, "per second", _PEER
)  # fmt: skip
THREADS = Claim(
    "signing", "batches signed with RS256 in two threads on two cores", "at least", 0.9,
    "per second", "The peer is the signature alone, in two programs at once, one on each of the cores."
    " The library lets go of Python's lock while it signs with RSA.",
)  # fmt: skip


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Measure both algorithms on one core, then RS256 with one thread and with two."""
    # Short rounds: what a neighbour does to the machine then hits both sides of a pair, or neither. In
    # several programs: where one's memory lies makes a tenth, for as long as it runs.
    programs, rounds, seconds = (1, 3, 1.0) if quick else (7, 6, 0.7)
    cores = sorted(os.sched_getaffinity(0))
    figures = []
    for claim, algorithm in ((ES256, "ES256"), (RS256, "RS256")):
        made = _made(folder, algorithm)
        task = Task(("ours", "least", "bare"), algorithm, 1, cores[:1], rounds, seconds, made)
        ours, least, bare = await _mint(task, programs)
        beside = {
            "files in a request": float(FILES[algorithm]),
            "the least that signs and writes down, per second": median(least),
            "the least against the peer": Rounds(least, bare).ratio,
            "ours against the least": Rounds(ours, least).ratio,
        }
        figures.append(figure(claim, Rounds(ours, bare), beside))
    return [*figures, await _threads(folder, programs * rounds, seconds)]


async def _threads(folder: Path, rounds: int, seconds: float) -> Figure:
    cores = sorted(os.sched_getaffinity(0))[:2]

    async def minted(threads: int) -> float:
        made = _made(folder, f"{threads}-threads")
        [ours] = await _mint(Task(("ours",), "RS256", threads, cores, 1, seconds, made))
        return ours[0]

    sides = {
        "ours": partial(minted, 2),
        "in one": partial(minted, 1),
        "peer": partial(on_cores, "RS256", cores, seconds),
    }
    taken = {name: tuple(seen) for name, seen in (await alternate(sides, rounds)).items()}
    beside = {
        "in one thread, per second": median(taken["in one"]),
        "two threads against one": Rounds(taken["ours"], taken["in one"]).ratio,
    }
    return figure(THREADS, Rounds(taken["ours"], taken["peer"]), beside)


def _made(folder: Path, name: str) -> str:
    made = folder / name
    made.mkdir(mode=0o700, exist_ok=True)
    return str(made)


async def _mint(task: Task, programs: int = 1) -> list[tuple[float, ...]]:
    """Return the rates of each side, in their order, as one program after the other found them."""
    seen = [await tell_child("bench.minting", asdict(task)) for _ in range(programs)]
    return [tuple(rate for one in seen for rate in one[name]) for name in task.sides]
