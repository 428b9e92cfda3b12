"""What a host remembers, in memory. Follows `ports.HostMarks`."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.clock import turns


class FakeHostMarks:
    """Marks that rise, and a disk that fails when a test says so."""

    def __init__(self, beside: FakeHostMarks | None = None) -> None:
        """Remember nothing yet, or what the replica `beside` this one knows by now."""
        self.counter: int = beside.counter if beside else 0
        self._generations: dict[str, int] = dict(beside._generations) if beside else {}
        self._failures: list[Exception] = []

    def fail_next(self, error: Exception) -> None:
        """Raise `error` when marks are written next; they are known all the same."""
        self._failures.append(error)

    def generation(self, segment: str) -> int:
        """Return the highest generation ever seen; see `ports.HostMarks.generation`."""
        return self._generations.get(segment, 0)

    def generations(self) -> Mapping[str, int]:
        """Return every generation remembered, as it is now."""
        return dict(self._generations)

    async def remember(self, counter: int, generations: Mapping[str, int]) -> None:
        """Raise what is remembered; see `ports.HostMarks.remember`."""
        self.counter = max(self.counter, counter)
        for segment, generation in generations.items():
            self._generations[segment] = max(generation, self.generation(segment))
        await turns(1)
        if self._failures:
            raise self._failures.pop(0)
