"""Puts tokens into their files, many at a time, so that the disk flushes several at once.

Each file is replaced as `delivery.whole_file` does it: what was there stays until the new file is
whole and flushed. A write that was begun is ended, whoever waited for it. One that hangs holds up
no other.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from credbroker.delivery import token_forms, whole_file
from credbroker.domain.tokens import AccessToken
from credbroker.edge.orders import Place
from credbroker.ports import Entropy

WRITES_AT_ONCE = 8
SLOW_SECONDS = 10.0
"""After so long a write hangs, as on a server of files that is away: others go on without it."""
MOST_HANGING = 256
"""So many may hang before they hold up the rest."""

_Waiting = asyncio.Future[whole_file.Identity]
_Outcome = whole_file.Identity | Exception


class Writing:
    """The threads that write. What they have done is told in bunches: to wake for each costs more."""

    def __init__(
        self,
        entropy: Entropy,
        at_once: int = WRITES_AT_ONCE,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """Write so many files at once; `entropy` names the temporary ones.

        A write that takes longer than `slow_seconds` counts no more among them.
        """
        self._entropy = entropy
        self._slow_seconds = slow_seconds
        self._places = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once + MOST_HANGING, thread_name_prefix="writing")
        self._lock = threading.Lock()
        self._done: list[tuple[_Waiting, _Outcome]] = []

    async def write(self, place: Place, token: AccessToken) -> whole_file.Identity:
        """Put the token into its file; return which file that made.

        Raises `LocalFileUnfit` if it cannot be written there safely; what was there stays.
        """
        loop = asyncio.get_running_loop()
        waiting: _Waiting = loop.create_future()
        async with self._places:
            self._threads.submit(self._write, place, token, waiting, loop)
            await asyncio.wait({waiting}, timeout=self._slow_seconds)
        return await waiting  # what hangs holds no place

    def close(self) -> None:
        """Finish the writes that have begun, and begin no other."""
        self._threads.shutdown(cancel_futures=True)

    def _write(
        self,
        place: Place,
        token: AccessToken,
        waiting: _Waiting,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        outcome: _Outcome
        try:
            outcome = self._replace(place, token)
        except Exception as error:  # noqa: BLE001 - it is raised where the write is waited for
            outcome = error
        with self._lock:
            self._done.append((waiting, outcome))
            is_first = len(self._done) == 1
        if is_first and not loop.is_closed():
            loop.call_soon_threadsafe(self._tell)

    def _replace(self, place: Place, token: AccessToken) -> whole_file.Identity:
        return whole_file.replace(
            place.path,
            token_forms.written(token, place.form, line_end=place.line_end),
            self._entropy,
            mode=place.mode,
            owner=place.owner,
            as_owner=place.as_owner,
            may_replace=place.may_replace,
        )

    def _tell(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for waiting, outcome in done:
            if waiting.done():
                continue  # whoever waited has gone
            if isinstance(outcome, Exception):
                waiting.set_exception(outcome)
            else:
                waiting.set_result(outcome)
