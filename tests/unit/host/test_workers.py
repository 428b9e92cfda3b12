"""Workers of one service, as real small programs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from credbroker.host.workers import Workers
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Says what it is told to (and after `pause` goes on by SIGUSR1), counts its starts in a file, is ready anew
# on SIGHUP (and notes that), and ends on SIGTERM with a status.
PROGRAM = """
import os, signal, socket, sys
folder, name, says, ends = sys.argv[1:]
def end(*_):
    if int(ends) < 0:
        os.kill(os.getpid(), -int(ends))
    os._exit(int(ends))
signal.signal(signal.SIGTERM, end)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # before a test can know the pid
with open(os.path.join(folder, name), "a") as starts:
    starts.write(f"{os.getpid()}\\n")
def renew(*_):
    with open(os.path.join(folder, name + ".renewed"), "a") as renewals:
        renewals.write("once\\n")
    out.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGHUP, renew)
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for word in says.split():
    if word.isdigit():
        os._exit(int(word))
    if word == "pause":
        signal.sigwait([signal.SIGUSR1])
        continue
    out.sendto(word.encode(), os.environ["NOTIFY_SOCKET"])
assert "WATCHDOG_PID" not in os.environ
while True:
    signal.pause()
"""


def command(folder: Path, name: str, says: str, ends: str = "0") -> list[str]:
    """Return what starts a program that says these words, and ends with a status once told to."""
    return [sys.executable, "-I", "-S", "-c", PROGRAM, str(folder), name, says, ends]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A datagram socket as systemd opens it, named in the environment."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "systemd"))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
        opened.bind(str(tmp_path / "systemd"))
        yield opened


async def heard(systemd: socket.socket) -> str:
    """Return what systemd is told next."""
    async with asyncio.timeout(20):
        return (await asyncio.get_running_loop().sock_recv(systemd, 100)).decode()


def starts(folder: Path, name: str) -> list[int]:
    """Return the process ids of a worker's starts."""
    file = folder / name
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


async def until(seen: Callable[[], bool], clock: FakeClock) -> None:
    """Return once `seen`, while the pauses pass; programs need their time."""
    async with asyncio.timeout(20):
        while not seen():
            clock.advance(1.0)
            await asyncio.to_thread(lambda: None)


async def test_the_service_is_ready_once_all_its_workers_are(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """And its watchdog is fed once all have fed theirs; SIGTERM ends all in good order."""
    says = ("READY=1 WATCHDOG=1", "WATCHDOG=1 READY=1")
    commands = [command(tmp_path, f"w{n}", one) for n, one in enumerate(says)]
    running = asyncio.ensure_future(Workers(commands, FakeClock()).run())
    assert {await heard(systemd), await heard(systemd)} == {"READY=1", "WATCHDOG=1"}
    os.kill(os.getpid(), signal.SIGTERM)
    assert await heard(systemd) == "STOPPING=1"
    assert await running == 0


async def test_a_worker_that_dies_is_started_again_and_takes_no_other_with_it(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """As a replica that is killed."""
    commands, clock = [command(tmp_path, f"w{n}", "READY=1") for n in range(2)], FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    assert await heard(systemd) == "READY=1"
    os.kill(starts(tmp_path, "w0")[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path, "w0")) == 2, clock)
    assert len(starts(tmp_path, "w1")) == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_all_are_told_to_take_new_settings_and_systemd_hears_when_they_have(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """Each by SIGHUP; nobody is started anew for that."""
    commands = [command(tmp_path, f"w{n}", "READY=1") for n in range(2)]
    running = asyncio.ensure_future(Workers(commands, FakeClock()).run())
    assert await heard(systemd) == "READY=1"
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await heard(systemd)).startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert await heard(systemd) == "READY=1"
    for name in ("w0", "w1"):
        assert (tmp_path / f"{name}.renewed").read_text() == "once\n"
        assert len(starts(tmp_path, name)) == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_is_starting_is_told_of_new_settings_once_it_is_ready(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """It may have read the old ones, and would die of the signal before it listens to it."""
    commands = [command(tmp_path, "w0", "READY=1"), command(tmp_path, "w1", "READY=1")]
    clock = FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    assert await heard(systemd) == "READY=1"
    commands[1][-2] = "pause READY=1"
    os.kill(starts(tmp_path, "w1")[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path, "w1")) == 2, clock)
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await heard(systemd)).startswith("RELOADING=1")
    assert await heard(systemd) == "READY=1"
    assert not (tmp_path / "w1.renewed").exists()
    os.kill(starts(tmp_path, "w1")[1], signal.SIGUSR1)
    await until((tmp_path / "w1.renewed").exists, clock)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_is_being_started_again_does_not_have_the_others_killed(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """The watchdog is fed by those that serve: OpenBao may be away for as long as the start takes."""
    words = ("READY=1 WATCHDOG=1 pause WATCHDOG=1", "READY=1")
    commands = [command(tmp_path, f"w{n}", one) for n, one in enumerate(words)]
    clock = FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    assert await heard(systemd) == "READY=1"
    commands[1][-2] = ""
    os.kill(starts(tmp_path, "w1")[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path, "w1")) == 2, clock)
    os.kill(starts(tmp_path, "w0")[0], signal.SIGUSR1)
    assert await heard(systemd) == "WATCHDOG=1"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_cannot_be_started_again_is_tried_again(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """As while the program is being replaced by its next version; the others go on."""
    commands, clock = [command(tmp_path, f"w{n}", "READY=1") for n in range(2)], FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    assert await heard(systemd) == "READY=1"
    commands[1][0] = str(tmp_path / "away")
    os.kill(starts(tmp_path, "w1")[0], signal.SIGKILL)
    with capture_logs() as said:
        await until(lambda: "worker_not_started" in [one["event"] for one in said], clock)
        commands[1][0] = sys.executable
        await until(lambda: len(starts(tmp_path, "w1")) == 2, clock)
    assert len(starts(tmp_path, "w0")) == 1
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


# Runs one worker, which runs until its standard input ends.
PARENT = """
import asyncio, sys
from credbroker.host.clock import SystemClock
from credbroker.host.workers import Workers
sys.exit(asyncio.run(Workers([sys.argv[1:]], SystemClock()).run()))
"""
ORPHAN = """
import asyncio, os, pathlib, sys
from credbroker.host.workers import tell_when_alone
async def main():
    alone = asyncio.Event()
    tell_when_alone(alone.set)
    pathlib.Path(sys.argv[1]).write_text("runs")
    await alone.wait()
    pathlib.Path(sys.argv[1]).write_text("alone")
asyncio.run(main())
"""


async def test_a_worker_learns_that_whoever_runs_it_was_killed(tmp_path: Path) -> None:
    """Else it would answer on the port for ever, beside those that are started instead of it."""
    told = tmp_path / "told"
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", PARENT, sys.executable, "-P", "-c", ORPHAN, str(told)
    )
    async with asyncio.timeout(20):
        while not told.exists() or told.read_text() != "runs":
            await asyncio.to_thread(lambda: None)
        parent.kill()
        await parent.wait()
        while told.read_text() != "alone":
            await asyncio.to_thread(lambda: None)


@pytest.mark.parametrize(("says", "status"), [("2", 2), ("3", 3), ("0", 1)])
async def test_one_that_ends_before_all_are_ready_ends_the_service(
    tmp_path: Path, systemd: socket.socket, says: str, status: int
) -> None:
    """With its status, so that systemd knows whether to try again; an end in peace is one, too."""
    commands = [command(tmp_path, "w0", "READY=1"), command(tmp_path, "w1", says)]
    assert await Workers(commands, FakeClock()).run() == status


async def test_one_that_finds_the_settings_wrong_later_leaves_the_others_serving(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """They serve on by the good ones, and it is tried again until somebody has mended them."""
    commands = [command(tmp_path, "w0", "READY=1"), command(tmp_path, "w1", "READY=1")]
    clock = FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    assert await heard(systemd) == "READY=1"
    commands[1][-2] = "2"
    os.kill(starts(tmp_path, "w1")[0], signal.SIGKILL)
    await until(lambda: len(starts(tmp_path, "w1")) == 3, clock)
    assert len(starts(tmp_path, "w0")) == 1
    assert not running.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await until(running.done, clock)  # it may be in the pause before the next try
    await running


@pytest.mark.parametrize(("ends", "status"), [("3", 3), ("-9", 1)])
async def test_a_worker_that_ends_badly_when_told_to_is_the_status_of_all(
    tmp_path: Path, systemd: socket.socket, ends: str, status: int
) -> None:
    """Somebody has to look at what it could not finish; also where it was killed meanwhile."""
    commands = [command(tmp_path, "w0", "READY=1"), command(tmp_path, "w1", "READY=1", ends)]
    running = asyncio.ensure_future(Workers(commands, FakeClock()).run())
    assert await heard(systemd) == "READY=1"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == status


async def test_workers_that_are_still_starting_end_when_told_to(
    tmp_path: Path, systemd: socket.socket
) -> None:
    """And that is no fault of theirs, though they cannot say so yet."""
    program = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    commands = [
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path / f"w{n}")] for n in range(2)
    ]
    clock = FakeClock()
    running = asyncio.ensure_future(Workers(commands, clock).run())
    await until(lambda: (tmp_path / "w0").exists() and (tmp_path / "w1").exists(), clock)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await heard(systemd) == "STOPPING=1"
    assert await running == 0
