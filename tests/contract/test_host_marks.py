"""What `ports.HostMarks` promises, by the fake of the tests and by the one on a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.ports import HostMarks
from credbroker.stores.host_marks import SqliteHostMarks
from tests.fakes.host_marks import FakeHostMarks

Start = Callable[[str, HostMarks | None], HostMarks]
"""Starts a replica beside another one of the same host, if there is one."""


@pytest.fixture(params=["fake", "sqlite"])
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Start]:
    """A host on which nothing runs yet."""
    with ExitStack() as opened:

        def fake(_: str, beside: HostMarks | None) -> HostMarks:
            assert beside is None or isinstance(beside, FakeHostMarks)
            return FakeHostMarks(beside)

        def real(replica: str, _: HostMarks | None) -> HostMarks:
            marks = SqliteHostMarks(tmp_path / "marks", replica)
            opened.callback(marks.close)
            return marks

        yield fake if request.param == "fake" else real


async def test_a_new_host_remembers_nothing(start: Start) -> None:
    """Which is below whatever Vault may say."""
    marks = start("a", None)
    assert (marks.counter, marks.generation("x"), marks.generations()) == (0, 0, {})


async def test_marks_rise_and_never_fall(start: Start) -> None:
    """Each by itself, whatever it is told later."""
    marks = start("a", None)
    await marks.remember(5, {"x": 3, "y": 1})
    await marks.remember(4, {"x": 2, "y": 2, "z": 1})
    assert (marks.counter, marks.generations()) == (5, {"x": 3, "y": 2, "z": 1})
    assert marks.generation("x") == 3


async def test_many_at_once_are_all_remembered(start: Start) -> None:
    """In whatever order they are written."""
    marks = start("a", None)
    await asyncio.gather(*(marks.remember(one, {f"{one % 3}": one}) for one in range(20)))
    assert (marks.counter, marks.generations()) == (19, {"0": 18, "1": 19, "2": 17})


async def test_who_walks_the_generations_is_not_disturbed(start: Start) -> None:
    """By what is remembered meanwhile."""
    marks = start("a", None)
    await marks.remember(1, {"x": 1, "y": 1})
    for segment in marks.generations():
        await marks.remember(2, {f"{segment}-2": 2})
    assert len(marks.generations()) == 4


async def test_a_host_remembers_as_one(start: Start) -> None:
    """A replica that starts knows what the others had written."""
    first = start("a", None)
    await first.remember(5, {"x": 3, "y": 1})
    second = start("b", first)
    await second.remember(4, {"y": 2})
    assert (second.counter, second.generations()) == (5, {"x": 3, "y": 2})


async def test_the_fake_fails_when_told_to() -> None:
    """As a full disk does: known, but not for the next life."""
    fake = FakeHostMarks()
    fake.fail_next(LocalFileUnfit("Full."))
    with pytest.raises(LocalFileUnfit):
        await fake.remember(1, {"x": 1})
    assert fake.generation("x") == 1
