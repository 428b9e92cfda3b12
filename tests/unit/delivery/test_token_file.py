"""A token file holds the token and nothing else."""

from __future__ import annotations

import io
import stat
from typing import TYPE_CHECKING

from credbroker.delivery import token_file
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy
from tests.people import EVE, as_root, hall, move_in

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hall"]

TOKEN = Secret("access token", "aaa.bbb.ccc")


def test_the_file_is_the_token_without_a_line_end(tmp_path: Path) -> None:
    """Readers that do not strip white space work too; nobody else may read it."""
    token_file.write(tmp_path / "t", TOKEN, SystemEntropy())
    assert (tmp_path / "t").read_bytes() == b"aaa.bbb.ccc"
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o600


def test_a_file_that_holds_the_very_token_is_known(tmp_path: Path) -> None:
    """Missing, foreign and broken files do not count as holding it."""
    path = tmp_path / "t"
    assert not token_file.holds(path, TOKEN)
    token_file.write(path, TOKEN, SystemEntropy())
    assert token_file.holds(path, TOKEN)
    path.write_text("not a token")
    assert not token_file.holds(path, TOKEN)
    path.write_text("another.one.too")
    assert not token_file.holds(path, TOKEN)


@as_root
def test_a_token_in_somebodys_file_is_known_too(hall: Path) -> None:
    """With that person's rights; without saying whose, root believes its own files alone."""
    theirs = move_in(hall, EVE)
    token_file.write(theirs / "t", TOKEN, SystemEntropy(), owner=EVE)
    assert token_file.holds(theirs / "t", TOKEN, EVE)
    assert not token_file.holds(theirs / "t", TOKEN)
    assert not token_file.holds(theirs / "t", Secret("access token", "other"), EVE)


def test_a_reader_that_asked_for_it_gets_one_line() -> None:
    """Standard output ends its line, as a shell expects."""
    out = io.StringIO()
    token_file.show(TOKEN, out)
    assert out.getvalue() == "aaa.bbb.ccc\n"
