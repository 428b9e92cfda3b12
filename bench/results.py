"""The figures as they are kept: one list in one JSON file, one entry for each name."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.machine import Machine
from bench.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Bar = Literal["at least", "at most"]


@dataclass(frozen=True)
class Taken:
    """When, where and how a figure was taken; `load` is the machine's before and after."""

    at: str
    machine: Machine
    load: tuple[float, float]
    quick: bool


@dataclass(frozen=True)
class Figure:
    """One measured ratio and the bar it has to pass.

    `ours` and `peer` are medians over the rounds, in `unit`; `ratio` is the median of the rounds'
    own ratios. What the peer or limit is, `against` says; `beside` holds what else was seen.
    """

    scenario: str
    name: str
    ratio: float
    bar: Bar
    target: float
    held: bool
    unit: str
    ours: float
    peer: float
    against: str
    rounds_ours: tuple[float, ...]
    rounds_peer: tuple[float, ...]
    spread: tuple[float, float]
    beside: dict[str, float] = field(default_factory=dict)
    taken: Taken | None = None


@dataclass(frozen=True)
class Claim:
    """What a figure is to show: its name, the bar, its unit, and what it is held against."""

    scenario: str
    name: str
    bar: Bar
    target: float
    unit: str
    against: str


def figure(claim: Claim, rounds: Rounds, beside: Mapping[str, float] | None = None) -> Figure:
    """Hold the rounds against the claim's bar."""
    ratio = rounds.ratio
    held = ratio >= claim.target if claim.bar == "at least" else ratio <= claim.target
    return Figure(
        scenario=claim.scenario,
        name=claim.name,
        ratio=_short(ratio),
        bar=claim.bar,
        target=claim.target,
        held=held,
        unit=claim.unit,
        ours=_short(median(rounds.ours)),
        peer=_short(median(rounds.peer)),
        against=claim.against,
        rounds_ours=tuple(map(_short, rounds.ours)),
        rounds_peer=tuple(map(_short, rounds.peer)),
        spread=(_short(rounds.spread[0]), _short(rounds.spread[1])),
        beside={name: _short(value) for name, value in (beside or {}).items()},
    )


def joined(launches: Iterable[Sequence[Figure]]) -> list[Figure]:
    """Return each figure with the rounds of all launches, which took the same ones in the same order.

    What stands beside it is the median of what stood beside it each time.
    """
    return [_joined(same) for same in zip(*launches, strict=True)]


def _joined(same: Sequence[Figure]) -> Figure:
    first = same[0]
    claim = Claim(first.scenario, first.name, first.bar, first.target, first.unit, first.against)
    rounds = Rounds(
        tuple(chain.from_iterable(one.rounds_ours for one in same)),
        tuple(chain.from_iterable(one.rounds_peer for one in same)),
    )
    beside = {name: median(one.beside[name] for one in same) for name in first.beside}
    return figure(claim, rounds, beside)


def merged(old: Iterable[Figure], new: Iterable[Figure], scenarios: Iterable[str]) -> list[Figure]:
    """Return the figures with those of the newly taken scenarios in place of their old ones."""
    taken = set(scenarios)
    return [*(one for one in old if one.scenario not in taken), *new]


def read(path: Path) -> list[Figure]:
    """Return the figures of a results file; none if there is no file yet."""
    return msgspec.json.decode(path.read_bytes(), type=list[Figure]) if path.exists() else []


def write(path: Path, figures: Iterable[Figure]) -> None:
    """Leave the figures at `path` as JSON that a diff shows line by line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(figures)), indent=2) + b"\n")


def _short(number: float) -> float:
    """Return a number with the four digits that a measurement is good for."""
    return float(f"{number:.4g}")
