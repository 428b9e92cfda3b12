"""Puts tokens into their files, many at a time, so that the disk flushes several at once.

Each file is replaced as `delivery.whole_file` does it: what was there stays until the new file is
whole and flushed. A write that was begun is ended, whoever waited for it. One that hangs holds up
no other.
"""

from __future__ import annotations

import asyncio
import collections
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

_Outcome = whole_file.Identity | Exception


class _Write:
    """One file that is to be written, and who waits for that; by identity, as no two are one."""

    def __init__(self, place: Place, token: AccessToken, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        self.token = token
        self.loop = loop
        self.waiting: asyncio.Future[whole_file.Identity] = loop.create_future()


class Writing:
    """The threads that write. What they have done is told in bunches: to wake for each costs more."""

    def __init__(
        self,
        entropy: Entropy,
        at_once: int = WRITES_AT_ONCE,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        """Write so many files at once; `entropy` names the temporary ones.

        A write that takes longer than `slow_seconds`, or up to twice that, counts no more among them.
        """
        self._entropy = entropy
        self._at_once = at_once
        self._slow_seconds = slow_seconds
        self._queue: collections.deque[_Write] = collections.deque()
        self._in_place: dict[_Write, float] = {}
        self._look: asyncio.TimerHandle | None = None
        self._threads = ThreadPoolExecutor(at_once + MOST_HANGING, thread_name_prefix="writing")
        self._lock = threading.Lock()
        self._done: list[tuple[_Write, _Outcome]] = []

    async def write(self, place: Place, token: AccessToken) -> whole_file.Identity:
        """Put the token into its file; return which file that made.

        Raises `LocalFileUnfit` if it cannot be written there safely; what was there stays.
        """
        one = _Write(place, token, asyncio.get_running_loop())
        self._queue.append(one)
        self._begin_more(one.loop)
        return await one.waiting

    def close(self) -> None:
        """Finish the writes that have begun, and begin no other."""
        if self._look is not None:
            self._look.cancel()
        self._queue.clear()
        self._threads.shutdown(cancel_futures=True)

    def _begin_more(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._queue and len(self._in_place) < self._at_once:
            one = self._queue.popleft()
            if one.waiting.done():
                continue  # whoever waited has gone
            self._in_place[one] = loop.time()
            self._threads.submit(self._write, one)
        if self._in_place and self._look is None:
            self._look = loop.call_later(self._slow_seconds, self._pass_over, loop)

    def _pass_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the places of writes that hang to others."""
        self._look = None
        began_by = loop.time() - self._slow_seconds
        self._in_place = {one: at for one, at in self._in_place.items() if at > began_by}
        self._begin_more(loop)

    def _write(self, one: _Write) -> None:
        outcome: _Outcome
        try:
            outcome = self._replace(one.place, one.token)
        except Exception as error:  # noqa: BLE001 - it is raised where the write is waited for
            outcome = error
        with self._lock:
            self._done.append((one, outcome))
            is_first = len(self._done) == 1
        if is_first and not one.loop.is_closed():
            one.loop.call_soon_threadsafe(self._tell, one.loop)

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

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            done, self._done = self._done, []
        for one, outcome in done:
            self._in_place.pop(one, None)
            if one.waiting.done():
                continue
            if isinstance(outcome, Exception):
                one.waiting.set_exception(outcome)
            else:
                one.waiting.set_result(outcome)
        self._begin_more(loop)
