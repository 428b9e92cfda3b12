"""Programs of one person go one after another; none waits for ever."""

from __future__ import annotations

import errno
import fcntl
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.turns import turn
from credbroker.domain.errors import LocalFileUnfit, LoginNeeded
from tests.fakes.step_clock import StepClock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


def taken(path: Path, clock: StepClock, told: list[str]) -> AbstractContextManager[bool]:
    """Take the turn, for which is waited ten seconds."""
    return turn(
        path,
        clock,
        10.0,
        waiting=lambda: told.append("waiting"),
        in_vain=lambda: LoginNeeded("In vain."),
    )


def test_a_free_turn_is_had_without_waiting(tmp_path: Path) -> None:
    """Again and again."""
    told: list[str] = []
    for _ in range(2):
        with taken(tmp_path / "lock", StepClock(), told) as waited:
            assert not waited
    assert told == []
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_who_waits_says_so_once_and_has_it_when_it_ends(tmp_path: Path) -> None:
    """Whatever became of the one before."""
    clock, told = StepClock(), list[str]()
    first = taken(tmp_path / "lock", clock, told)
    first.__enter__()
    clock.after(3, lambda: first.__exit__(None, None, None))
    with taken(tmp_path / "lock", clock, told) as waited:
        assert waited
    assert told == ["waiting"]


def test_a_wait_that_is_too_long_ends_in_words(tmp_path: Path) -> None:
    """After its time and no later."""
    clock, told = StepClock(), list[str]()
    begun = clock.elapsed()
    with (
        taken(tmp_path / "lock", clock, told),
        pytest.raises(LoginNeeded, match="In vain"),
        taken(tmp_path / "lock", clock, told),
    ):
        pass
    assert 10 <= clock.elapsed() - begun < 11


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_files_cannot_be_locked_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As in some homes on the network: two at once do something twice, which is no harm."""

    def refuse(_fd: int, _how: int) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with taken(tmp_path / "lock", StepClock(), []) as waited:
        assert not waited


def test_a_turn_that_cannot_be_taken_is_told(tmp_path: Path) -> None:
    """As with a folder that is gone."""
    with (
        pytest.raises(LocalFileUnfit, match="cannot be opened"),
        taken(tmp_path / "none" / "lock", StepClock(), []),
    ):
        pass


def test_a_lock_that_fails_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of files that has gone, say."""

    def fail(_fd: int, _how: int) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(fcntl, "flock", fail)
    with (
        pytest.raises(LocalFileUnfit, match="cannot be locked: Stale"),
        taken(tmp_path / "lock", StepClock(), []),
    ):
        pass


def test_a_turn_that_is_not_needed_any_more_is_not_waited_for(tmp_path: Path) -> None:
    """What it was wanted for came about in another way; whoever has the turn keeps it."""
    clock, told = StepClock(), list[str]()
    begun = clock.elapsed()
    with (
        taken(tmp_path / "lock", clock, told),
        turn(
            tmp_path / "lock",
            clock,
            60.0,
            waiting=lambda: told.append("waiting"),
            in_vain=lambda: LoginNeeded("In vain."),
            enough=lambda: clock.elapsed() - begun >= 3,
        ) as waited,
    ):
        assert waited
        assert 3 <= clock.elapsed() - begun < 4
        with pytest.raises(LoginNeeded), taken(tmp_path / "lock", clock, told):
            pass
    assert told == ["waiting", "waiting"]
