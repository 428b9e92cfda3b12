"""What systemd hears from a service, on a socket of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from credbroker.host import systemd as host_systemd
from credbroker.host.systemd import Watchdog, notify, watchdog_seconds
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    """A datagram socket as systemd opens it; a message waits in it for two seconds at the most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.settimeout(2)
        yield opened


def test_systemd_hears_that_the_broker_is_ready(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state arrives as one datagram."""
    systemd.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_a_leading_at_sign_names_an_abstract_socket(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`@name` stands for a name that begins with NUL, as sd_notify(3) has it."""
    systemd.bind(f"\0{tmp_path}/notify")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}/notify")
    notify("STOPPING=1")
    assert systemd.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("value", [None, ""])
def test_without_systemd_nothing_is_said(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that was started by hand runs all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notify("READY=1")


def test_a_systemd_that_is_gone_does_not_hurt_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there any more, and the broker goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


def test_a_systemd_that_stands_still_does_not_stop_the_broker(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket is full, and what is said is lost instead of waited for."""
    monkeypatch.setattr(host_systemd, "_PATIENCE_SECONDS", 0.001)
    systemd.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while other.sendto(b"X", str(tmp_path / "notify")):
                pass
    notify("WATCHDOG=1")


# -- the watchdog ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_systemd_says_how_long_it_waits_and_for_whom(
    environ: dict[str, str], seconds: float | None
) -> None:
    """What is said to another process, and what is no number, asks for nothing."""
    assert watchdog_seconds(environ) == seconds


class Rounds:
    """A counter that a test moves."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> int:
        return self.done


@pytest.fixture
def fed(systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """What systemd gets from a service whose watchdog bites after 90 s."""
    systemd.bind(str(tmp_path / "notify"))
    systemd.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "90000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return systemd


def feeds(systemd: socket.socket) -> int:
    """Return how often the watchdog was fed since this was last asked."""
    count = 0
    while True:
        try:
            assert systemd.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            return count
        count += 1


@asynccontextmanager
async def watched(clock: FakeClock, *rounds: Rounds) -> AsyncIterator[None]:
    """Run a watchdog for as long as the test needs it."""
    task = asyncio.ensure_future(Watchdog(clock, rounds).run())
    await clock.pass_time(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_watchdog_is_fed_three_times_in_a_life_while_rounds_are_finished(
    fed: socket.socket,
) -> None:
    """The first time at once."""
    clock, rounds = FakeClock(), Rounds()
    async with watched(clock, rounds):
        assert feeds(fed) == 1
        for _ in range(30):
            rounds.done += 1
            await clock.pass_time(30)
            assert feeds(fed) == 1


async def test_rounds_that_take_longer_than_a_third_of_a_life_do_not_kill(
    fed: socket.socket,
) -> None:
    """Between two feeds there is less than a life all the same."""
    clock, rounds = FakeClock(), Rounds()
    async with watched(clock, rounds):
        for _ in range(10):
            assert feeds(fed) == 1
            rounds.done += 1
            await clock.pass_time(60)


async def test_one_kind_of_round_that_stands_still_starves_the_watchdog(
    fed: socket.socket,
) -> None:
    """However well the others go."""
    clock, going, still = FakeClock(), Rounds(), Rounds()
    async with watched(clock, going, still):
        assert feeds(fed) == 1
        for _ in range(90):
            going.done += 1
            await clock.pass_time(1)
        assert feeds(fed) == 0
        still.done += 1
        going.done += 1
        await clock.pass_time(30)
        assert feeds(fed) == 1


async def test_nobody_is_fed_where_nobody_watches(
    fed: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `WatchdogSec=` the service says nothing, and its task does not end."""
    monkeypatch.delenv("WATCHDOG_USEC")
    clock = FakeClock()
    async with watched(clock):
        await clock.pass_time(3600)
    assert feeds(fed) == 0
