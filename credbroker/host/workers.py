"""Runs several workers of one service beside each other, and starts one again that died.

- systemd hears of them as of one program: it is ready once all are, and its watchdog is fed each time
  that all who serve have fed theirs. One that is being started again does not count until it is ready.
- SIGTERM and SIGINT go to all of them; each ends in good order, and with the last the service ends.
- SIGHUP goes to all of them, to one that is starting once it has started; systemd hears that the service
  reloads until all are ready anew.
- They end in good order, too, if this program is killed: each is told by `tell_when_alone`.
- One that ends before all were ready ends the service. Later one that dies takes no other with it, and
  is started again, also where the settings have become wrong meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from credbroker.host.siblings import WORKER
from credbroker.host.systemd import notify, reloading
from credbroker.ports import Clock

PAUSE_SECONDS = 2.0
_LARGEST_MESSAGE_BYTES = 4096
_TOLD_BY = frozenset({signal.SIGTERM, signal.SIGINT})

log = structlog.get_logger(__name__)


@dataclass
class _Worker:
    """One of them, and what it said last."""

    command: Sequence[str]
    place: Path
    child: asyncio.subprocess.Process | None = None
    ready: bool = False
    fed: bool = False
    owed: bool = False
    """It is to be told by SIGHUP once it listens."""
    renewing: bool = False
    """It was told so, and is not ready anew."""


class Workers:
    """All of them."""

    def __init__(self, commands: Sequence[Sequence[str]], clock: Clock) -> None:
        """Run a program for each of `commands`, which never change."""
        self._commands = commands
        self._clock = clock
        self._workers: list[_Worker] = []
        self._stopping = asyncio.Event()
        self._status = 0
        self._told_ready = False
        self._owes_ready = True

    async def run(self) -> int:
        """Run them until told to stop; return the exit status of the service."""
        loop = asyncio.get_running_loop()
        for number in _TOLD_BY:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._renew)
        with TemporaryDirectory(prefix="credbroker-workers-") as folder:
            self._workers = [
                _Worker(command, Path(folder) / f"{number}.sock")
                for number, command in enumerate(self._commands)
            ]
            async with asyncio.TaskGroup() as tasks:
                for worker in self._workers:
                    tasks.create_task(self._keep(worker))
        return self._status

    def _stop(self, status: int = 0) -> None:
        """Tell all to end; the first status that is not 0 is the service's."""
        self._status = self._status or status
        if not self._stopping.is_set():
            self._stopping.set()
            notify("STOPPING=1")
            for worker in self._workers:
                _tell(worker, signal.SIGTERM)

    def _renew(self) -> None:
        """Have all read their settings again; one that starts may have read the old ones already."""
        if self._told_ready:
            self._owes_ready = True
            notify(reloading())
        for worker in self._workers:
            worker.owed = True
            self._pay(worker)

    def _pay(self, worker: _Worker) -> None:
        if worker.ready and worker.owed:
            worker.owed, worker.renewing = False, True
            _tell(worker, signal.SIGHUP)

    async def _keep(self, worker: _Worker) -> None:
        """Have this worker run until all are to stop."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        listener.bind(str(worker.place))
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._hear, worker, listener)
        try:
            while not self._stopping.is_set():
                status = await self._once(worker)
                if not self._stopping.is_set():
                    await self._after(worker, status)
        finally:
            loop.remove_reader(listener)
            listener.close()

    async def _once(self, worker: _Worker) -> int:
        environment = _for_worker(os.environ, worker.place)
        try:
            worker.child = await asyncio.create_subprocess_exec(
                *worker.command, env=environment, stdin=asyncio.subprocess.PIPE
            )
        except OSError as error:  # as while its program is being replaced by the next version
            log.warning("worker_not_started", why=error.strerror)
            return 1
        if self._stopping.is_set():
            _tell(worker, signal.SIGTERM)
        status = await worker.child.wait()
        if self._stopping.is_set():
            self._status = self._status or _worth(status)
        return status

    async def _after(self, worker: _Worker, status: int) -> None:
        worker.ready = worker.fed = worker.renewing = False
        if not self._told_ready:
            self._stop(status if status > 0 else 1)
            return
        # Also if the settings have become wrong meanwhile: the others serve on by the good ones.
        log.error("worker_ended", status=status)
        self._tell_ready()
        await self._clock.sleep(PAUSE_SECONDS)

    def _hear(self, worker: _Worker, listener: socket.socket) -> None:
        lines = listener.recv(_LARGEST_MESSAGE_BYTES).decode(errors="replace").split("\n")
        worker.fed = worker.fed or "WATCHDOG=1" in lines
        if "READY=1" in lines:
            worker.ready, worker.renewing = True, False
            self._pay(worker)
            self._tell_ready()
        serving = [one for one in self._workers if one.ready]
        if self._told_ready and all(one.fed for one in serving):
            notify("WATCHDOG=1")
            for one in serving:
                one.fed = False

    def _tell_ready(self) -> None:
        """Tell systemd once all are ready, and after a SIGHUP once all are anew that live."""
        started = self._told_ready or all(one.ready for one in self._workers)
        if started and self._owes_ready and not any(one.renewing for one in self._workers):
            self._told_ready, self._owes_ready = True, False
            notify("READY=1")


def _tell(worker: _Worker, number: signal.Signals) -> None:
    if worker.child is not None and worker.child.returncode is None:
        worker.child.send_signal(number)


def tell_when_alone(told: Callable[[], None]) -> None:
    """In a worker, call `told` once nobody runs it any more: its standard input ends then.

    Whoever runs it writes nothing there, and holds it open for as long as it lives.
    """
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(sys.stdin)
        told()

    loop.add_reader(sys.stdin, ended)


def _worth(status: int) -> int:
    """Return the exit status that a worker's is worth which was told to end.

    While it starts it does not listen for that yet, and ends by the signal.
    """
    if status >= 0:
        return status
    return 0 if -status in _TOLD_BY else 1


def _for_worker(environment: Mapping[str, str], place: Path) -> dict[str, str]:
    """Return a worker's environment: what it says about itself comes here, not to systemd.

    It names the worker's place, beside which it finds the others; see `host.siblings`.
    """
    kept = {name: value for name, value in environment.items() if name != "WATCHDOG_PID"}
    return {**kept, "NOTIFY_SOCKET": str(place), WORKER: str(place.with_suffix(""))}
