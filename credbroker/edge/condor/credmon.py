"""The life of a credmon: in HTCondor's order at the start, until it is told to stop.

A signal can be answered before anybody knows whom to signal. Ready is said when every credential has
its token, or its reason for none. A flood of signals costs one look more, and settings that cannot be
read leave those before in force.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from asyncinotify import Inotify

from credbroker.domain.errors import CredbrokerError, LocalFileUnfit
from credbroker.edge.condor.duties import Duties, tell_master
from credbroker.edge.condor.folder import Folder
from credbroker.edge.condor.source import CondorSource, Say
from credbroker.edge.condor.wake import Wake
from credbroker.edge.condor.watch import Watch
from credbroker.edge.engine import Engine
from credbroker.host.systemd import Watchdog, notify
from credbroker.ports import Clock

WATCHED_SECONDS = 60.0
"""How often everything is looked at where changes are noticed as they come."""
UNWATCHED_SECONDS = 5.0
"""How often where they are not."""
LEAST_PAUSE_SECONDS = 1.0
"""The least time between two looks that signals ask for."""

_PATIENCE_SECONDS = 20.0
_STEP_SECONDS = 0.1
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

Reconfigure = Callable[[], Awaitable[None]]
"""Reads the settings anew and goes by them; raises `CredbrokerError` if they cannot be read."""


@dataclass
class Credmon:
    """One credmon; `run` is its whole life."""

    folder: Folder
    duties: Duties
    source: CondorSource
    engine: Engine
    wake: Wake
    clock: Clock
    say: Say
    reconfigure: Reconfigure
    _hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _is_watched: bool = False
    _is_unmarked: bool = False

    async def run(self) -> None:
        """Keep the tokens fresh until told to stop.

        Raises:
            LocalFileUnfit: The folder cannot be used, or is not the one it was; start again.
        """
        self._listen(asyncio.get_running_loop())
        self.duties.begin()
        try:
            async with asyncio.TaskGroup() as group:
                lasting = [group.create_task(one) for one in self._lasting()]
                await self._stopping.wait()
                notify("STOPPING=1")
                for task in lasting:
                    task.cancel()
        except* LocalFileUnfit as unfit:
            raise LocalFileUnfit(_first(unfit).sentence) from None
        finally:
            self.duties.end()
            # The credd may go on for a while to signal a pid that it has read before.
            for number in (signal.SIGHUP, *_STOPPING):
                signal.signal(number, signal.SIG_IGN)
        self.say("stopped")

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not by the loop's own means: those queue every signal, and a flood of one would crowd out
        # another. These are noted by the interpreter, each sort once.
        def note(number: int, _: object) -> None:
            event = self._hung_up if number == signal.SIGHUP else self._stopping
            if not event.is_set():
                loop.call_soon_threadsafe(event.set)

        for number in (signal.SIGHUP, *_STOPPING):
            signal.signal(number, note)

    def _lasting(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._watch(),
            self.engine.run(),
            self._go_round(),
            self._answer_signals(),
            Watchdog(self.clock, [lambda: self.engine.passes]).run(),
        ]

    async def _watch(self) -> None:
        try:
            with Inotify() as inotify:
                watch = Watch(inotify, self.folder.path, self.wake)
                self._is_watched = True
                await watch.run()
        except OSError as failure:
            self._is_watched = False
            self.say(
                "changed files cannot be watched, so they are looked for",
                why=failure.strerror,
                every_seconds=UNWATCHED_SECONDS,
            )

    async def _go_round(self) -> None:
        """Look at everything now and then, whatever was noticed; say what HTCondor waits for."""
        await self._begin()
        while True:
            looks = self.source.looks
            await self.clock.sleep(WATCHED_SECONDS if self._is_watched else UNWATCHED_SECONDS)
            if not self.folder.is_in_place():
                raise LocalFileUnfit(f"{self.folder.path} is not the folder any more that it was.")
            if self.source.looks > looks:
                self._complete()
            self.wake.everywhere()

    async def _begin(self) -> None:
        end = self.clock.elapsed() + _PATIENCE_SECONDS
        while not self.source.is_settled() and self.clock.elapsed() < end:
            await self.clock.sleep(_STEP_SECONDS)
        self._complete()
        notify("READY=1")
        self.say("ready", master_was_not_told=await tell_master())

    def _complete(self) -> None:
        try:
            self.duties.complete()
        except LocalFileUnfit as unfit:
            if not self._is_unmarked:
                self.say("it cannot be said that all was looked at", why=unfit.sentence)
            self._is_unmarked = True
        else:
            self._is_unmarked = False

    async def _answer_signals(self) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            self.wake.everywhere()
            try:
                await self.reconfigure()
            except CredbrokerError as error:
                self.say("the settings stay as they were", why=error.sentence, do=error.remedy)
            except Exception as fault:  # noqa: BLE001 - with those before, tokens go on
                self.say("the settings stay as they were", why=type(fault).__name__)
            await self.clock.sleep(LEAST_PAUSE_SECONDS)


def _first(group: BaseExceptionGroup[LocalFileUnfit]) -> LocalFileUnfit:
    (error, *_) = group.exceptions
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
