"""A watched program is known by its number and its start."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from credbroker.domain.errors import NotFound
from credbroker.edge.job.watched import Watched


def show(proc: Path, state: str = "S", start: int = 777, name: str = "sh") -> None:
    """Write a stat file of program 42 as Linux does."""
    (proc / "42").mkdir(exist_ok=True)
    middle = " ".join(str(number) for number in range(4, 22))
    (proc / "42" / "stat").write_text(f"42 ({name}) {state} {middle} {start} 99\n")


def test_this_very_program_is_running() -> None:
    """The real /proc is understood."""
    assert Watched(os.getpid()).is_running()


@pytest.mark.parametrize("name", ["sh", "a) S 1 (b", "\N{SNOWMAN} )"])
def test_a_program_runs_until_its_entry_is_gone(tmp_path: Path, name: str) -> None:
    """No name, however odd, confuses the reading."""
    show(tmp_path, name=name)
    watched = Watched(42, tmp_path)
    assert watched.is_running()
    (tmp_path / "42" / "stat").unlink()
    assert not watched.is_running()


def test_a_number_given_to_another_program_does_not_count(tmp_path: Path) -> None:
    """The start time tells them apart."""
    show(tmp_path)
    watched = Watched(42, tmp_path)
    show(tmp_path, start=888)
    assert not watched.is_running()


def test_a_program_that_ended_uncollected_is_gone(tmp_path: Path) -> None:
    """Its parent may be slow to notice; the job is over all the same."""
    show(tmp_path)
    watched = Watched(42, tmp_path)
    show(tmp_path, state="Z")
    assert not watched.is_running()


def test_a_program_that_cannot_be_looked_at_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file descriptor left, say: the job's token file must not go for that."""
    show(tmp_path)
    watched = Watched(42, tmp_path)

    def refuse(_: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert watched.is_running()


def test_a_number_without_a_program_is_refused(tmp_path: Path) -> None:
    """The sentence names the number, the remedy the option."""
    with pytest.raises(NotFound, match="number 42") as missing:
        Watched(42, tmp_path)
    assert "--while-pid" in missing.value.remedy
