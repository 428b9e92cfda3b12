"""A way to tell that keeps what was told, or fails as a test says. Follows `ports.Channel`."""

from __future__ import annotations

import asyncio
from collections import deque

from credbroker.ports import Letter


class FakeChannel:
    """Takes letters, and notes each one that has arrived, whatever was answered."""

    def __init__(self) -> None:
        """Take everything at once until told otherwise."""
        self.letters: list[Letter] = []
        self.tries = 0
        self._failures: deque[tuple[Exception, bool]] = deque()
        self.down: Exception | None = None
        self.hangs = False

    def fail_next(self, error: Exception, *, arrives: bool = False) -> None:
        """Raise `error` at the next letter, which arrives all the same if it says so."""
        self._failures.append((error, arrives))

    async def tell(self, letter: Letter) -> None:
        """Take a letter; see `ports.Channel.tell`."""
        self.tries += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.down is not None:
            raise self.down
        error, arrives = self._failures.popleft() if self._failures else (None, True)
        if arrives:
            self.letters.append(letter)
        if error is not None:
            raise error
