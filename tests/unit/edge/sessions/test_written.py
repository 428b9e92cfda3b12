"""Whose a file is: what this agent brought it knows again, and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from credbroker.edge.sessions.written import MOST_REMEMBERED, Written
from credbroker.host.entropy import SystemEntropy


def token(number: int) -> Secret:
    """Return one of many tokens."""
    return Secret("access token", f"header.claims-{number}.signature")


def content(number: int) -> bytes:
    """Return what a file with that token holds."""
    return token(number).reveal().encode()


def test_what_was_noted_is_known_after_a_restart(tmp_path: Path) -> None:
    """Also the token before, for the crash between the note and the file."""
    Written(tmp_path, SystemEntropy()).note({7: [token(1)], 8: [token(2)]})
    Written(tmp_path, SystemEntropy()).note({7: [token(3)]})
    again = Written(tmp_path, SystemEntropy())
    assert again.owns(7, content(1))
    assert again.owns(7, content(3) + b"\n")
    assert not again.owns(7, content(2))
    assert not again.owns(8, content(1))
    assert not again.owns(9, b"")
    assert again.remembered() == {7, 8}


def test_no_token_is_kept(tmp_path: Path) -> None:
    """Digests alone, and for root alone."""
    Written(tmp_path, SystemEntropy()).note({7: [token(1)]})
    (file,) = tmp_path.iterdir()
    assert b"claims-1" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_newest_are_remembered(tmp_path: Path) -> None:
    """A month of renewals makes no large file."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: [token(number) for number in range(MOST_REMEMBERED + 5)]})
    assert not written.owns(7, content(4))
    assert written.owns(7, content(5))
    assert (tmp_path / "7.json").stat().st_size < 32 * 1024


def test_who_is_gone_is_forgotten(tmp_path: Path) -> None:
    """And comes again as somebody new."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: [token(1)]})
    written.forget(7)
    written.forget(8)
    assert not written.owns(7, content(1))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_note_makes_files_foreign_and_is_mended(tmp_path: Path) -> None:
    """Better left alone than wrongly replaced."""
    (tmp_path / "7.json").write_text("{")
    (tmp_path / "7.json").chmod(0o600)
    written = Written(tmp_path, SystemEntropy())
    assert not written.owns(7, content(1))
    written.note({7: [token(1)]})
    assert Written(tmp_path, SystemEntropy()).owns(7, content(1))


def test_a_full_disk_costs_only_the_memory_over_a_restart(tmp_path: Path) -> None:
    """One person's note that cannot be kept keeps back nobody else's."""
    written = Written(tmp_path, SystemEntropy())
    (tmp_path / "7.json").mkdir()
    with pytest.raises(LocalFileUnfit):
        written.note({7: [token(1)], 8: [token(2)]})
    assert written.owns(7, content(1))
    assert Written(tmp_path, SystemEntropy()).owns(8, content(2))


def test_questions_about_one_person_are_equal(tmp_path: Path) -> None:
    """Orders that hold them are compared."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: [token(1)]})
    assert written.question(7)(content(1))
    assert not written.question(8)(content(1))
    assert written.question(7) == written.question(7)
    assert hash(written.question(7)) == hash(written.question(7))
    assert written.question(7) != written.question(8)
