"""What a hundred thousand grants and a million leases cost in memory, in passes, in peaks."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from bench.child import ask_child
from bench.day import PASSES
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate

if TYPE_CHECKING:
    from pathlib import Path

GRANTS, LEASES = 100_000, 1_000_000
FEW = 1_000
GIB = 2**30
LIMIT_GIB = 4.0

MEMORY = Claim(
    "size", f"memory of a broker that knows {GRANTS:,} grants and {LEASES:,} leases", "at most", 1.0,
    "GiB", f"The limit is {LIMIT_GIB:.0f} GiB, a small virtual machine's; what the records take in"
    " the store is not counted.",
)  # fmt: skip
PASS = Claim(
    "size", "a keeper's pass with nothing due", "at most", 2.0, "CPU µs",
    f"Ours keeps {GRANTS:,} grants, the peer is the same keeper with {FEW:,}: a pass costs what is"
    " due, however many there are.",
)  # fmt: skip
PEAK = Claim(
    "size", "an issuer's busiest hour of a day", "at most", 1.5, "requests",
    "The peer is the day's mean hour. All grants were made within one hour 16 days before, so their"
    " 30-day refresh tokens come up for renewal together; one grant in ten has a job that runs all"
    " day on tokens of 6 h, and these jobs began within 3 h.",
)  # fmt: skip


async def take(_folder: Path, quick: bool) -> list[Figure]:
    """Weigh and time in children, so that each begins with a memory of its own."""
    scale = 50 if quick else 1
    return [
        await _memory(GRANTS // scale, LEASES // scale),
        await _passes(GRANTS // 10 if quick else GRANTS, rounds=2 if quick else 5),
        await _peak(GRANTS // scale),
    ]


async def _memory(grants: int, leases: int) -> Figure:
    seen = await ask_child("bench.weigh", grants, leases)
    whole = GRANTS * (seen["grant"] + seen["keeper"]) + LEASES * seen["lease"]
    beside = {
        "bytes for a grant": seen["grant"],
        "bytes for a grant in the keeper's index": seen["keeper"],
        "bytes for a lease": seen["lease"],
        "bytes for a record in the store": seen["record"],
        "grants weighed": float(grants),
        "leases weighed": float(leases),
    }
    return figure(MEMORY, Rounds((whole / GIB,), (LIMIT_GIB,)), beside)


async def _passes(grants: int, rounds: int) -> Figure:
    sides = {
        "many": partial(ask_child, "bench.day", "pass", grants),
        "few": partial(ask_child, "bench.day", "pass", FEW),
    }
    seen = await alternate(sides, rounds)
    many, few = (tuple(one["microseconds"] for one in seen[side]) for side in ("many", "few"))
    beside = {
        "grants": float(grants),
        "passes in a round": float(PASSES),
        "refreshes": median(one["refreshes"] for one in seen["many"]),
    }
    return figure(PASS, Rounds(many, few), beside)


async def _peak(grants: int) -> Figure:
    seen = await ask_child("bench.day", "day", grants)
    rounds = Rounds((seen["peak"],), (seen["mean"],))
    return figure(PEAK, rounds, {"grants": float(grants)})
