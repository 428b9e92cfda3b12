"""Writes docs/performance.md from the figures; nothing on that page is typed by hand."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bench import capacity
from bench.explained import EXPLAINED, SCENARIOS
from bench.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.results import Figure, Taken

_HEAD = """\
# Performance

`make bench` writes this page from [its results](../bench/results/latest.json); `make bench QUICK=1`
takes about a quarter of an hour and is rougher. Every figure is a ratio to a named peer or limit that
was measured in the same run, in turn with ours, over several rounds: the medians are shown, and in
brackets the lowest and the highest ratio of a round. A bar that is missed stays here and says why.
"""


def page(figures: Iterable[Figure]) -> str:
    """Return the whole page."""
    ordered = sorted(figures, key=lambda one: list(SCENARIOS).index(one.scenario))
    parts = [_HEAD, "\n".join(table(ordered)) + "\n"]
    for scenario, group in groupby(ordered, key=lambda one: one.scenario):
        parts.append("\n".join(_section(scenario, list(group))))
    return "\n".join(parts)


def table(figures: Iterable[Figure]) -> Iterator[str]:
    """Yield the lines of the table of all figures."""
    yield "| figure | ours | peer or limit | unit | ratio | bar | held |"
    yield "|---|---|---|---|---|---|---|"
    for one in figures:
        lowest, highest = one.spread
        cells = (
            one.name,
            number(one.ours),
            number(one.peer),
            one.unit,
            f"{number(one.ratio)} ({number(lowest)} to {number(highest)})",
            f"{one.bar} {number(one.target)}",
            "yes" if one.held else "**no**",
        )
        yield f"| {' | '.join(cells)} |"


def _section(scenario: str, figures: Sequence[Figure]) -> Iterator[str]:
    yield f"## {scenario.capitalize()}\n"
    yield f"{SCENARIOS[scenario]}\n"
    said: set[str] = set()
    for one in figures:
        yield f"- **{one.name}**. {_once(one.against, said)}"
        beside = [f"{name}: {number(value)}" for name, value in one.beside.items()]
        if beside:
            yield f"  Beside it: {'; '.join(beside)}."
        if not one.held:
            yield f"  Missed: {_once(EXPLAINED.get(one.name, 'not explained yet.'), said)}"
    yield from capacity.lines(figures)
    yield from sorted({_where(one.taken) for one in figures if one.taken is not None})
    yield ""


def _once(sentence: str, said: set[str]) -> str:
    """Return a sentence, or that it was said in this section already."""
    if sentence in said:
        return "As above."
    said.add(sentence)
    return sentence


def _where(taken: Taken) -> str:
    machine, (before, after) = taken.machine, taken.load
    shape = "quick run" if taken.quick else "full run"
    return (
        f"\nTaken {taken.at} ({shape}) on {machine.cores} cores ({machine.processor}),"
        f" {number(machine.memory_gib)} GiB, Linux {machine.kernel}, Python {machine.python};"
        f" load {before} before and {after} after."
    )
