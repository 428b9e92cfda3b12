"""Tells systemd how the service is doing (sd_notify(3)); silent where systemd does not ask.

- Its watchdog is fed from the event loop, and only while the rounds that must not stand still go on
  being finished. What came of a round does not matter: a server that is away is no reason to be
  killed, a program that hangs is.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from credbroker.ports import Clock

Count = Callable[[], int]
"""How many rounds of one kind are finished."""

_FEEDS_IN_A_LIFE = 3
# A systemd that stands still is waited for so long, and then not told.
_PATIENCE_SECONDS = 1.0


def notify(state: str) -> None:
    """Send `state`, such as `READY=1` or `STOPPING=1`, to the socket that systemd named."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    # A leading @ stands for the NUL of an abstract socket's name.
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(_PATIENCE_SECONDS)
        try:
            out.sendto(state.encode(), address)
        except OSError:
            return  # systemd went away; that is its business


def reloading() -> str:
    """Return what tells systemd that settings are being read again; `READY=1` ends that."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return after how many seconds of silence systemd kills this process; None for never.

    As sd_watchdog_enabled(3) reads it: what is meant for another process does not count.
    """
    named = environ.get("WATCHDOG_PID", "")
    if named and named != str(os.getpid()):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


class Watchdog:
    """Feeds systemd's watchdog while rounds are finished."""

    def __init__(self, clock: Clock, rounds: Sequence[Count]) -> None:
        """Feed while every count in `rounds` grows.

        Each of these rounds must end within a third of the time that the unit sets, whatever the
        servers do that it asks.
        """
        self._clock = clock
        self._rounds = rounds
        self._seconds = watchdog_seconds()

    async def run(self) -> None:
        """Feed for ever, three times in each life; where nobody watches, wait."""
        if self._seconds is None:
            await asyncio.Event().wait()
            return
        fed_at: list[int] = []
        while True:
            counted = [count() for count in self._rounds]
            if not fed_at or all(now > then for now, then in zip(counted, fed_at, strict=True)):
                notify("WATCHDOG=1")
                fed_at = counted
            await self._clock.sleep(self._seconds / _FEEDS_IN_A_LIFE)
