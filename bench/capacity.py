"""Says how many cores so many tokens a second take, by what one core was seen to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.names import (
    ES256_BATCH,
    ES256_TOKENS,
    REUSED,
    RS256_BATCH,
    RS256_TOKENS,
)
from bench.numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.results import Figure

PER_SECOND = (1_000, 5_000, 10_000)


def lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield a table for a section that has such figures; nothing for any other."""
    rates = dict(_rates({one.name: one for one in figures}))
    if not rates:
        return
    wanted = " | ".join(f"{one // 1000} kHz" for one in PER_SECOND)
    yield "\nCores for so many tokens a second, of cores like these; who asks needs others:\n"
    yield f"| tokens | one core, per second | {wanted} |"
    yield f"|---|---|{'---|' * len(PER_SECOND)}"
    for name, rate in rates.items():
        cores = " | ".join(number(math.ceil(one / rate)) for one in PER_SECOND)
        yield f"| {name} | {number(rate)} | {cores} |"


def _rates(figures: Mapping[str, Figure]) -> Iterator[tuple[str, float]]:
    """Yield what one core did a second, by what it was."""
    if ES256_BATCH in figures and RS256_BATCH in figures:
        yield "RS256, in batches", figures[RS256_BATCH].ours
        yield "ES256, in batches", figures[ES256_BATCH].ours
    if ES256_TOKENS in figures and RS256_TOKENS in figures:
        yield "RS256, from `/token`", figures[RS256_TOKENS].ours
        yield "ES256, from `/token`", figures[ES256_TOKENS].ours
        yield "given again, from `/token`", figures[ES256_TOKENS].beside[REUSED]
