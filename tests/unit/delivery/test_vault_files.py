"""htgettoken's files and streams: one line each, replaced as a whole, read with care."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import vault_files
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = Secret("vault token", "hvs.x")


def put(path: str, out: io.StringIO | None = None) -> None:
    """Put the token there."""
    vault_files.put(path, TOKEN, out or io.StringIO(), SystemEntropy())


@pytest.mark.parametrize("there", [None, "old"])
def test_a_token_is_one_line_of_its_owners(tmp_path: Path, there: str | None) -> None:
    """With its end, as shells read lines; a relative path is one, too."""
    path = tmp_path / "vt"
    if there:
        path.write_text(there)
        path.chmod(0o644)
    put(str(path))
    assert path.read_text() == "hvs.x\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert vault_files.read_vault_token(str(path)) == TOKEN


def test_if_it_cannot_be_replaced_the_old_one_stays(tmp_path: Path) -> None:
    """It is never removed first."""
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(LocalFileUnfit):
        put(str(path))
    assert path.is_dir()


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/dev/stdin", True),
        ("/dev/stdout", True),
        ("/dev/fd/63", True),
        ("/dev/fd/", False),
        ("/dev/stdoutx", False),
        ("/dev/null", False),
        ("vt", False),
    ],
)
def test_streams_are_known_by_name(path: str, is_one: bool) -> None:
    """All else is a file."""
    assert vault_files.is_stream(path) == is_one


def test_streams_are_written_and_read_as_they_are() -> None:
    """Standard output is what the program has for it; another stays open for who opened it."""
    out = io.StringIO()
    put("/dev/stdout", out)
    assert out.getvalue() == "hvs.x\n"
    reading, writing = os.pipe()
    put(f"/dev/fd/{writing}")
    os.close(writing)
    assert vault_files.read_vault_token(f"/dev/fd/{reading}") == TOKEN
    os.close(reading)
    with pytest.raises(LocalFileUnfit):
        put(f"/dev/fd/{writing}")
    with pytest.raises(LocalFileUnfit):
        vault_files.read_vault_token(f"/dev/fd/{reading}")
    assert vault_files.read_vault_token("/dev/stdin", io.StringIO(" hvs.x \n")) == TOKEN


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_nothing_there_is_no_token(tmp_path: Path, content: str | None) -> None:
    """Nor is white space."""
    path = tmp_path / "vt"
    if content is not None:
        path.write_text(content)
    assert vault_files.read_vault_token(str(path)) is None


@pytest.mark.parametrize("content", ["two words", "a\nb", "\x00", "é"])
def test_what_is_no_token_is_told(tmp_path: Path, content: str) -> None:
    """Before it could smuggle something into a header."""
    (tmp_path / "vt").write_text(content)
    with pytest.raises(LocalFileUnfit, match="no vault token"):
        vault_files.read_vault_token(str(tmp_path / "vt"))


def test_whose_login_it_is_is_remembered(tmp_path: Path) -> None:
    """Where htgettoken remembers it; its folder is made."""
    path = tmp_path / "a" / "b" / "credkey"
    assert vault_files.read_credkey(path) is None
    vault_files.write_credkey(path, "ada/cron", SystemEntropy())
    assert path.read_text() == "ada/cron\n"
    assert vault_files.read_credkey(path) == "ada/cron"
    (tmp_path / "file").touch()
    with pytest.raises(LocalFileUnfit):
        vault_files.write_credkey(tmp_path / "file" / "x", "ada", SystemEntropy())
