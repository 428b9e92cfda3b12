"""Who waits for a token is told of it, and what does not work is an error in words."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.hooks import HOOK_SECONDS, Hooks
from credbroker.edge.orders import Hook
from tests.fakes.clock import FakeClock


@pytest.fixture
def told() -> Iterator[list[int]]:
    """The signals of the second kind that this program gets."""
    got: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: got.append(number))
    yield got
    signal.signal(signal.SIGUSR2, before)


async def test_a_command_runs_without_a_shell_and_is_waited_for(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Its words are its words."""
    name = "a; b $HOME"
    await Hooks(clock).run(Hook(("touch", str(tmp_path / name))))
    assert (tmp_path / name).exists()


async def test_a_program_gets_its_signal(tmp_path: Path, clock: FakeClock, told: list[int]) -> None:
    """The one whose number the file holds."""
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    await Hooks(clock).run(Hook(pid_file=tmp_path / "pid", signal=signal.SIGUSR2))
    assert told == [signal.SIGUSR2]


@pytest.mark.parametrize("content", [None, "", "0", "1", "-1", "x", "9999999999"])
async def test_a_file_that_names_no_program_is_an_error(
    tmp_path: Path, clock: FakeClock, content: str | None
) -> None:
    """Least of all one that stands for every program."""
    if content is not None:
        (tmp_path / "pid").write_text(content)
    with pytest.raises(LocalFileUnfit):
        await Hooks(clock).run(Hook(pid_file=tmp_path / "pid", signal=signal.SIGUSR2))


@pytest.mark.parametrize(
    ("words", "why"), [(("/nowhere/x",), "No such file"), (("false",), "ended with 1")]
)
async def test_a_command_that_fails_is_an_error(
    clock: FakeClock, words: tuple[str, ...], why: str
) -> None:
    """Which says that the file is new all the same."""
    with pytest.raises(LocalFileUnfit, match=f"The file is new.*{why}"):
        await Hooks(clock).run(Hook(words))


async def test_a_command_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, clock: FakeClock
) -> None:
    """After a time; others have run meanwhile."""
    hooks, alive = Hooks(clock), tmp_path / "alive"
    os.mkfifo(alive)
    script = f"exec 3> {alive}; sleep 600 & echo begun >&3; wait"
    hanging = asyncio.ensure_future(hooks.run(Hook(("sh", "-c", script))))
    with await asyncio.to_thread(alive.open) as heard:
        assert await asyncio.to_thread(heard.readline) == "begun\n"
        await hooks.run(Hook(("true",)))
        clock.advance(HOOK_SECONDS)
        with pytest.raises(LocalFileUnfit, match="was killed"):
            await hanging
        assert await asyncio.to_thread(heard.read) == "", "nobody holds it open any more"


async def test_a_hook_under_way_is_ended_when_all_stops(clock: FakeClock) -> None:
    """Nothing is left behind."""
    running = asyncio.ensure_future(Hooks(clock).run(Hook(("sleep", "600"))))
    await clock.until_somebody_sleeps()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
