"""Workers of one service tell each other their numbers, and who is silent is counted."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from credbroker.host import siblings
from credbroker.host.siblings import WORKER, Siblings, Told
from tests.fakes.clock import turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def worker(folder: Path, number: int) -> Siblings:
    """Return a worker's view, whose socket toward the one who runs it is there."""
    (folder / f"{number}.sock").touch()
    found = Siblings.named({WORKER: str(folder / str(number))})
    assert found is not None
    return found


@asynccontextmanager
async def telling(one: Siblings, text: Callable[[], bytes]) -> AsyncIterator[None]:
    """Have a worker answer meanwhile."""
    task = asyncio.ensure_future(one.tell(text))
    await turns()
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_each_hears_all_the_others_and_not_itself(tmp_path: Path) -> None:
    """As they stand when they are asked, however much it is."""
    workers = [worker(tmp_path, number) for number in range(3)]
    large = b"x" * 300_000 + b"\n"
    said = [b"zero\n", b"one\n", large]
    async with AsyncExitStack() as stack:
        for number, one in enumerate(workers):
            await stack.enter_async_context(telling(one, partial(said.__getitem__, number)))
        assert await workers[0].ask() == Told(["one\n", large.decode()], 0)
        said[0] = b"later\n"
        assert await workers[1].ask() == Told(["later\n", large.decode()], 0)


async def test_one_that_is_not_there_counts_as_silent(tmp_path: Path) -> None:
    """It is being started again, or has left its socket behind."""
    first, _ = worker(tmp_path, 0), worker(tmp_path, 1)
    assert await first.ask() == Told([], 1)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "1.numbers"))
    assert await first.ask() == Told([], 1)


async def test_one_that_stands_still_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' numbers are worth more than its."""
    monkeypatch.setattr(siblings, "ANSWER_SECONDS", 0.3)
    first, third = worker(tmp_path, 0), worker(tmp_path, 2)
    worker(tmp_path, 1)
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(str(tmp_path / "1.numbers"))
        still.listen()
        async with telling(third, lambda: b"three\n"):
            assert await first.ask() == Told(["three\n"], 1)


async def test_half_an_answer_is_none(tmp_path: Path) -> None:
    """Its worker died over it."""

    async def dies(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"credbroker_grants 1")
        writer.close()

    first, _ = worker(tmp_path, 0), worker(tmp_path, 1)
    async with await asyncio.start_unix_server(dies, str(tmp_path / "1.numbers")):
        assert await first.ask() == Told([], 1)


async def test_a_worker_takes_over_the_socket_of_the_one_before(tmp_path: Path) -> None:
    """Which was killed and left it."""
    first, second = worker(tmp_path, 0), worker(tmp_path, 1)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "1.numbers"))
    async with telling(second, lambda: b"again\n"):
        assert await first.ask() == Told(["again\n"], 0)


async def test_what_one_told_last_is_kept_for_the_others_and_for_who_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of it, though it was killed; it is not given to itself, as after new settings."""
    first, second = worker(tmp_path, 0), worker(tmp_path, 1)
    assert (first.before(), second.before()) == ("", "")
    for life, pid in enumerate((101, 102, 103)):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        second = worker(tmp_path, 1)
        assert second.before() == (f"life {life}\n" if life else "")
        second.keep(b"little\n")
        second.keep(f"life {life + 1}\n".encode())
        assert worker(tmp_path, 1).before() == (f"life {life}\n" if life else "")
    assert await first.ask() == Told([], 1, ["life 3\n"])
    assert first.before() == ""
    (tmp_path / "1.103.kept").unlink()
    (tmp_path / "1.103.kept").mkdir()
    second.keep(b"no room\n")  # which is no reason to tell nothing


def test_a_service_without_workers_has_none() -> None:
    """Nobody is asked."""
    assert Siblings.named({}) is None
