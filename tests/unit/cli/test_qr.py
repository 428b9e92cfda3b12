"""QR codes: drawn where they can be read, and no harm where they cannot."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import qr
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "https://issuer.example.org/device?user_code=ABCD-EFGH"


def test_a_code_is_a_square_of_half_blocks() -> None:
    """Every line is as wide as it says, and there are half as many lines as columns."""
    drawn = qr.draw(ADDRESS)
    assert drawn is not None
    assert {len(line) for line in drawn.lines} == {drawn.columns}
    assert len(drawn.lines) == -(-drawn.columns // 2)
    assert set("".join(drawn.lines)) <= set("█▀▄ ")


def test_without_utf8_a_code_is_drawn_by_the_colours_of_blanks() -> None:
    """It takes twice the columns and nothing beyond ASCII."""
    small, large = qr.draw(ADDRESS), qr.draw(ADDRESS, "ascii")
    assert small is not None
    assert large is not None
    assert large.columns == 2 * small.columns
    assert len(large.lines) == small.columns
    assert {len(re.sub(r"\x1b\[\d+m", "", line)) for line in large.lines} == {large.columns}
    assert "".join(large.lines).isascii()


@pytest.mark.parametrize(("name", "begins"), [("code.png", b"\x89PNG"), ("code.SVG", b"<?xml")])
def test_a_picture_is_made_for_its_owner_alone(tmp_path: Path, name: str, begins: bytes) -> None:
    """As its name says."""
    assert qr.save(ADDRESS, tmp_path / name, SystemEntropy())
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_without_the_library_there_is_no_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one optional library may be absent."""
    monkeypatch.setitem(sys.modules, "segno", None)
    assert qr.draw(ADDRESS) is None
    assert not qr.save(ADDRESS, tmp_path / "code.png", SystemEntropy())
    assert list(tmp_path.iterdir()) == []


def test_a_wish_is_a_word_or_a_picture_that_is_not_there_yet(tmp_path: Path) -> None:
    """Nothing is written over."""
    for wish in ("auto", "always", "never", str(tmp_path / "code.png"), "a.svg"):
        assert qr.check_wish(wish) == wish
    with pytest.raises(Malformed, match="sometimes"):
        qr.check_wish("sometimes")
    (tmp_path / "photo.png").touch()
    with pytest.raises(LocalFileUnfit, match="there already"):
        qr.check_wish(str(tmp_path / "photo.png"))
