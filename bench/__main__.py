"""`python -m bench`: take the figures, show them, keep them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench import (
    cli,
    crowd,
    edge,
    issuing,
    poison,
    reads,
    refreshes,
    restart,
    results,
    signing,
    size,
    writing,
)
from bench.explained import SCENARIOS
from bench.machine import is_the_systems, load, this_machine
from bench.results import Figure, Taken
from bench.wrk import ProgramMissing
from credbroker.host.clock import SystemClock
from credbroker.telemetry.logging import configure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"

_ANOTHER_PYTHON = (
    "This Python is not the system's. One that was built without optimisation takes about a seventh longer for"
    " whatever is Python; to measure what packages run on: make clean, then make PYTHON=/usr/bin/python3 bench"
)

TAKE: dict[str, Callable[[Path, bool], Coroutine[None, None, list[Figure]]]] = {
    "refreshes": refreshes.take,
    "reads": reads.take,
    "crowd": crowd.take,
    "size": size.take,
    "poison": poison.take,
    "restart": restart.take,
    "edge": edge.take,
    "signing": signing.take,
    "issuer": issuing.take,
    "cli": cli.take,
}


def main() -> int:
    """Do what the command line says. A missed bar is a result like any other."""
    wanted = _arguments().parse_args()
    configure("error")
    if wanted.write_docs:
        PAGE.write_text(writing.page(results.read(wanted.results)), encoding="utf-8")
        return 0
    if not is_the_systems():
        print(_ANOTHER_PYTHON, file=sys.stderr, flush=True)
    scenarios = [wanted.only] if wanted.only else list(SCENARIOS)
    taken: list[Figure] = []
    for name in scenarios:
        figures = _take(name, quick=wanted.quick)
        # At once, so that a scenario that fails does not take an hour's figures with it.
        _keep(figures, wanted.results)
        taken += figures
    print("\n".join(writing.table(taken)))
    return 0


def _take(scenario: str, *, quick: bool) -> list[Figure]:
    clock, before = SystemClock(), load()
    began = clock.elapsed()
    print(f"{scenario} …", file=sys.stderr, flush=True)
    try:
        with TemporaryDirectory(prefix="credbroker-bench-") as folder:
            figures = asyncio.run(TAKE[scenario](Path(folder), quick))
    except ProgramMissing as missing:
        print(f"{scenario} is left out: {missing}", file=sys.stderr, flush=True)
        return []
    print(f"{scenario}: {clock.elapsed() - began:.0f} s", file=sys.stderr, flush=True)
    at = clock.now().strftime("%Y-%m-%d")
    taken = Taken(at, this_machine(), (before, load()), quick)
    return [replace(one, taken=taken) for one in figures]


def _keep(figures: list[Figure], file: Path) -> None:
    seen = {one.scenario for one in figures}
    results.write(file, results.merged(results.read(file), figures, seen))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=list(SCENARIOS), help="take this scenario alone")
    parser.add_argument(
        "--results", type=Path, default=HERE / "results" / "latest.json", metavar="FILE",
        help="where the figures are kept",
    )  # fmt: skip
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/performance.md from the results"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
