"""Files of the trail are found and read wherever they lie and however they were rotated."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest

from credbroker.domain.errors import LocalFileUnfit
from credbroker.telemetry.trail_files import LONGEST_LINE_BYTES, raw_lines, trail_files


def test_a_folder_stands_for_its_files_and_none_is_read_twice(tmp_path: Path) -> None:
    """Rotated and packed ones among them; what else lies there is left alone."""
    names = ["audit-a.jsonl", "audit-a.jsonl.1.gz", "audit-b.jsonl"]
    for name in [*names, "broker.log"]:
        (tmp_path / name).touch()
    files = [tmp_path / name for name in names]
    assert trail_files([tmp_path / "audit-a.jsonl", tmp_path]) == files


def test_a_place_without_a_trail_is_an_error(tmp_path: Path) -> None:
    """A mistyped folder must not look like a clean one."""
    for path in (tmp_path, tmp_path / "gone.jsonl"):
        with pytest.raises(LocalFileUnfit, match="no audit trail here"):
            trail_files([path])


def test_a_place_that_cannot_be_looked_at_is_not_called_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trail's folder is the broker's own: who looks as somebody else is told why."""

    def closed(path: Path) -> object:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "audit-a.jsonl").touch()
    with pytest.raises(LocalFileUnfit, match="File name too long"):
        trail_files([tmp_path / ("a" * 300)])
    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(os, "listdir", closed)
    with pytest.raises(LocalFileUnfit, match="Permission denied"):
        trail_files([tmp_path])


def test_lines_come_as_they_are_packed_or_not(tmp_path: Path) -> None:
    """With their newlines; half a line at the end without."""
    plain, packed = tmp_path / "audit-a.jsonl", tmp_path / "audit-a.jsonl.1.gz"
    plain.write_bytes(b"one\ntwo\nthr")
    packed.write_bytes(gzip.compress(b"one\ntwo\nthr"))
    assert list(raw_lines(plain)) == list(raw_lines(packed)) == [b"one\n", b"two\n", b"thr"]


def test_no_line_is_taken_into_memory_whole_however_long(tmp_path: Path) -> None:
    """It comes in pieces."""
    file = tmp_path / "audit-a.jsonl"
    file.write_bytes(b"x" * (LONGEST_LINE_BYTES + 1) + b"\n")
    assert [len(piece) for piece in raw_lines(file)] == [LONGEST_LINE_BYTES, 2]


def test_a_packed_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    """After its good lines; so is one that is not packed at all."""
    file = tmp_path / "audit-a.jsonl.gz"
    file.write_bytes(gzip.compress(b"one\n" * 1000)[:-9])
    with pytest.raises(LocalFileUnfit, match="damaged, or was cut"):
        list(raw_lines(file))
    file.write_bytes(b"one\n")
    with pytest.raises(LocalFileUnfit, match="damaged, or was cut"):
        list(raw_lines(file))


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(LocalFileUnfit, match="cannot be read"):
        list(raw_lines(tmp_path))
