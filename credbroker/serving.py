"""Serves: answers at the broker's port until told to stop, and takes new settings meanwhile.

- Any task that ends, even without an error, ends the process; systemd starts it again.
- On SIGTERM nothing new is taken, every refresh in flight is awaited and stored, and what still lies in
  the spool is handed in before the process ends.
- On SIGHUP a second broker is built from the settings as they are written now, over the same port, trail,
  Vault and folders. Only once it stands it takes over: no connection is closed, no request is lost, and
  what the first one began it also finishes. Settings that cannot be taken change nothing.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web

from credbroker.api.connections import Runner
from credbroker.api.listening import begin_listening, show
from credbroker.broker.engine import Engine
from credbroker.broker.htvault import Htvault
from credbroker.broker.running import Deeds
from credbroker.config.schema import Listen
from credbroker.domain.errors import CredbrokerError
from credbroker.host import systemd
from credbroker.host.loop import collect
from credbroker.host.workers import tell_when_alone
from credbroker.ports import Clock, Entropy
from credbroker.stores.vault import VaultClient

# Callers are answered for this long after SIGTERM; with a refresh in flight (120 s) and its storing
# that stays below the 180 s that systemd is told to wait.
STOP_ANSWER_SECONDS = 15.0
# What an earlier life left in the spool is handed in for so long, if Vault takes it at all.
SPOOL_SECONDS = 10.0
KEPT_ALIVE_SECONDS = 75.0
# A Kerberos ticket with what Active Directory puts into it travels in one header.
LONGEST_HEADER_BYTES = 64 * 1024
# A slow Vault keeps the port closed for no longer than this.
FIRST_BEAT_SECONDS = 5.0

Rounds = Mapping[str, asyncio.Task[None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A broker that is built and not yet running; `also` runs for as long as it does.

    `opened` is closed when nothing that it began is left to do.
    """

    app: web.Application
    listen: Listen
    vault: VaultClient
    engine: Engine
    htvault: Htvault
    deeds: Deeds
    troubles: list[str]
    clock: Clock
    entropy: Entropy
    tls: ssl.SSLContext | None = None
    also: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    def run(
        self, *, one_of_several: bool = False, anew: Anew | None = None
    ) -> Coroutine[Any, Any, None]:
        """Answer HTTP and keep the Vault login until told to stop; finish what was begun.

        `anew` builds who takes over on SIGHUP; nothing that is returned here holds who was replaced.
        """
        return _Service(self, one_of_several=one_of_several, anew=anew).run()

    async def look_around(self) -> None:
        """Learn who else runs and what is known of the issuers, before anybody is answered.

        If OpenBao/Vault is slow, that goes on while callers are answered.
        """
        beat = self.deeds.begin(self.engine.beating.beat(), "first beat")
        await self.deeds.is_done(beat, FIRST_BEAT_SECONDS)

    def lasting(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs for as long as this broker serves."""
        return {
            "beating": self.engine.beating.run(),
            "keeping": self.engine.keeping.run(),
            "recovering": self.engine.recovering.run(),
            "containing": self.engine.containing.run(),
            "clearing": self.engine.clearing.run(),
            "expiring": self.htvault.expire_for_ever(),
            "watchdog": self._watchdog().run(),
            **{name: run() for name, run in self.also.items()},
        }

    def _watchdog(self) -> systemd.Watchdog:
        """Return what systemd kills this process without: neither round waits long for a server."""
        keeping, containing = self.engine.keeping, self.engine.containing
        return systemd.Watchdog(self.clock, [lambda: keeping.passes, lambda: containing.rounds])


Anew = Callable[[Daemon], Awaitable[Daemon]]
"""Builds who takes over from a broker, by the settings as they are now; raises what is against it."""


class _Service:
    """One port, and the broker that answers there."""

    def __init__(self, first: Daemon, *, one_of_several: bool, anew: Anew | None) -> None:
        self._now = first
        self._living = [first]
        self._one_of_several = one_of_several
        self._anew = anew
        self._told = asyncio.Event()
        self._stopping = False
        self._runner = Runner(
            first.app,
            first.entropy,
            handle_signals=False,
            shutdown_timeout=STOP_ANSWER_SECONDS,
            keepalive_timeout=KEPT_ALIVE_SECONDS,
            max_field_size=LONGEST_HEADER_BYTES,
        )

    async def run(self) -> None:
        """Serve until told to stop."""
        self._mind_signals()
        try:
            await self._begin()
            async with asyncio.TaskGroup() as tasks:
                login = _for_ever(self._now.vault.stay_logged_in())
                logged_in = tasks.create_task(login, name="vault login")
                rounds = _begun(self._now, tasks)
                while not await self._is_to_stop():
                    rounds = await self._renewed(rounds, tasks)
                await self._stop(rounds)
                logged_in.cancel()
        finally:
            await self._runner.cleanup()
            for one in list(self._living):
                await one.deeds.finish()
                await one.opened.aclose()
        log.info("stopped")

    async def _begin(self) -> None:
        first, shared = self._now, self._one_of_several
        await self._runner.setup()
        await first.look_around()
        await begin_listening(self._runner, first.listen, first.tls, first.clock, shared=shared)
        systemd.notify("READY=1")
        log.info("ready", address=", ".join(first.listen.addresses), port=first.listen.port)

    def _mind_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_soon)
        if self._one_of_several:
            tell_when_alone(self._stop_soon)
        if self._anew is not None:
            loop.add_signal_handler(signal.SIGHUP, self._told.set)

    def _stop_soon(self) -> None:
        self._stopping = True
        self._told.set()

    async def _is_to_stop(self) -> bool:
        """Wait for the next signal, however many have come; tell whether one was to stop."""
        await self._told.wait()
        self._told.clear()
        return self._stopping

    async def _stop(self, rounds: Rounds) -> None:
        """Answer everybody first, so that nothing new begins; then finish all."""
        systemd.notify("STOPPING=1")
        self._now.troubles.append("This replica is stopping.")
        for one in ("keeping", "recovering", "expiring"):
            rounds[one].cancel()
        await self._runner.cleanup()
        for daemon in list(self._living):
            await daemon.deeds.finish()
        if left := await self._now.engine.beating.empty_spool(SPOOL_SECONDS):
            log.error("spool_not_empty", entries=left)
        for task in rounds.values():
            task.cancel()

    async def _renewed(self, rounds: Rounds, tasks: asyncio.TaskGroup) -> Rounds:
        """Return what runs now: for the broker of new settings, or as before if they cannot be taken."""
        assert self._anew is not None, "nobody else listens to SIGHUP"
        systemd.notify(systemd.reloading())
        try:
            after = await self._anew(self._now)
        except CredbrokerError as error:
            log.error("settings_refused", why=error.sentence, remedy=error.remedy)  # noqa: TRY400
        except Exception:
            log.exception("settings_broke")
        else:
            self._living.append(after)
            rounds = await self._take_over(after, rounds, tasks)
            log.info("settings_taken")
        systemd.notify("READY=1")
        return rounds

    async def _take_over(self, after: Daemon, rounds: Rounds, tasks: asyncio.TaskGroup) -> Rounds:
        """Let `after` answer. Two would beat under one name, so the first one's rounds end before."""
        before = self._now
        # What the first one has in hand it still holds against revocations.
        containing = rounds["containing"]
        await _ended(one for one in rounds.values() if one is not containing)
        await after.look_around()
        await show(self._runner, after.tls)
        answered = await self._runner.turn_to(after.app)
        self._now = after
        retiring = tasks.create_task(self._retire(before, answered, containing), name="retiring")
        retiring.add_done_callback(lambda _: collect())
        return _begun(after, tasks)

    async def _retire(
        self,
        before: Daemon,
        answered: Callable[[], Awaitable[None]],
        containing: asyncio.Task[None],
    ) -> None:
        """Let go of a broker once all is done that it began."""
        await answered()
        await before.deeds.finish()
        await _ended([containing])
        self._now.engine.containing.owe_for(before.engine.containing)
        await before.opened.aclose()
        self._living.remove(before)


def _begun(daemon: Daemon, tasks: asyncio.TaskGroup) -> Rounds:
    return {
        name: tasks.create_task(_for_ever(run), name=name) for name, run in daemon.lasting().items()
    }


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.wait(ending)


async def _for_ever(task: Coroutine[Any, Any, None]) -> None:
    """Treat a plain return as a failure too: a task that silently ended is a fault."""
    await task
    raise RuntimeError("a task that should run for ever has ended")
