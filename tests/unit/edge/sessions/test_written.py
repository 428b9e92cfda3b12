"""Whose a file is: what this agent brought it knows again, and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from credbroker.delivery.acting import rights_of
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from credbroker.edge.sessions.written import MOST_OF_ONE, MOST_REMEMBERED, Written
from credbroker.host.entropy import SystemEntropy
from tests.people import ALICE, as_root


def brought(*numbers: int, file: str = "bt_u7") -> list[tuple[str, Secret]]:
    """Return that these tokens were brought, one after the other, for a file."""
    return [(file, token(number)) for number in numbers]


def token(number: int) -> Secret:
    """Return one of many tokens."""
    return Secret("access token", f"header.claims-{number}.signature")


def content(number: int) -> bytes:
    """Return what a file with that token holds."""
    return token(number).reveal().encode()


def test_what_was_noted_is_known_after_a_restart(tmp_path: Path) -> None:
    """Also the token before, for the crash between the note and the file."""
    Written(tmp_path, SystemEntropy()).note({7: brought(1), 8: brought(2)})
    Written(tmp_path, SystemEntropy()).note({7: brought(3)})
    again = Written(tmp_path, SystemEntropy())
    assert again.owns(7, content(1))
    assert again.owns(7, content(3) + b"\n")
    assert not again.owns(7, content(2))
    assert not again.owns(8, content(1))
    assert not again.owns(9, b"")
    assert again.remembered() == {7, 8}


def test_no_token_is_kept(tmp_path: Path) -> None:
    """Digests alone, and for root alone."""
    Written(tmp_path, SystemEntropy()).note({7: brought(1)})
    (file,) = tmp_path.iterdir()
    assert b"claims-1" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_newest_are_remembered(tmp_path: Path) -> None:
    """A month of renewals makes no large file."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: brought(*range(MOST_OF_ONE + 5))})
    assert not written.owns(7, content(4))
    assert written.owns(7, content(5))
    assert (tmp_path / "7.json").stat().st_size < 32 * 1024


def test_a_file_that_is_renewed_often_makes_no_other_foreign(tmp_path: Path) -> None:
    """One token may live for a day beside others that live for minutes."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: brought(1)})
    for number in range(2, 3 * MOST_REMEMBERED, 100):
        written.note({7: brought(*range(number, number + 100), file="bt_u7-quick")})
    for known in (written, Written(tmp_path, SystemEntropy())):
        assert known.owns(7, content(1))


def test_the_same_token_again_pushes_no_other_out(tmp_path: Path) -> None:
    """A disk that stays full has the same one tried again and again."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: brought(1)})
    for _ in range(2 * MOST_OF_ONE):
        written.note({7: brought(2)})
    assert written.owns(7, content(1))


def test_however_many_files_a_person_has_the_note_stays_readable(tmp_path: Path) -> None:
    """Of very many, those that were brought last are known."""
    written = Written(tmp_path, SystemEntropy())
    for number in range(MOST_REMEMBERED + 5):
        written.note({7: brought(number, file=f"bt_u4294967294-{number:064}")})
    again = Written(tmp_path, SystemEntropy())
    assert again.owns(7, content(MOST_REMEMBERED + 4))
    assert not again.owns(7, content(0))


@as_root
def test_what_is_asked_with_a_persons_rights_was_read_before(tmp_path: Path) -> None:
    """That person cannot read this folder, and must not make us forget what is in it."""
    tmp_path.chmod(0o700)
    Written(tmp_path, SystemEntropy()).note({ALICE[0]: brought(1)})
    again = Written(tmp_path, SystemEntropy())
    question = again.question(ALICE[0])
    with rights_of(ALICE):
        assert question(content(1))
    assert again.owns(ALICE[0], content(1))


def test_who_is_gone_is_forgotten(tmp_path: Path) -> None:
    """And comes again as somebody new."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: brought(1)})
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
    written.note({7: brought(1)})
    assert Written(tmp_path, SystemEntropy()).owns(7, content(1))


def test_a_full_disk_costs_only_the_memory_over_a_restart(tmp_path: Path) -> None:
    """One person's note that cannot be kept keeps back nobody else's."""
    written = Written(tmp_path, SystemEntropy())
    (tmp_path / "7.json").mkdir()
    with pytest.raises(LocalFileUnfit):
        written.note({7: brought(1), 8: brought(2)})
    assert written.owns(7, content(1))
    assert Written(tmp_path, SystemEntropy()).owns(8, content(2))


def test_questions_about_one_person_are_equal(tmp_path: Path) -> None:
    """Orders that hold them are compared."""
    written = Written(tmp_path, SystemEntropy())
    written.note({7: brought(1)})
    assert written.question(7)(content(1))
    assert not written.question(8)(content(1))
    assert written.question(7) == written.question(7)
    assert hash(written.question(7)) == hash(written.question(7))
    assert written.question(7) != written.question(8)
