"""Takes sides in turn, round by round, so that whatever else the machine does hits all alike."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Rounds:
    """What ours and the peer reached in each round, in the same unit, in the order taken."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours against the peer's, each pair from one round."""
        return tuple(one / other for one, other in zip(self.ours, self.peer, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest of the rounds' ratios."""
        return min(self.ratios), max(self.ratios)


async def alternate(
    sides: Mapping[str, Callable[[], Awaitable[T]]], rounds: int
) -> dict[str, list[T]]:
    """Run every side once a round, every second round in the opposite order."""
    taken: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in _turned(list(sides), number):
            taken[name].append(await sides[name]())
    return taken


def _turned(names: Sequence[str], number: int) -> Sequence[str]:
    return names if number % 2 == 0 else names[::-1]
