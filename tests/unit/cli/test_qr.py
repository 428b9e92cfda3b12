"""QR codes: drawn where they can be read, and no harm where they cannot."""

from __future__ import annotations

import sys

import pytest

from credbroker.cli import qr

ADDRESS = "https://issuer.example.org/device?user_code=ABCD-EFGH"


def test_a_code_is_a_square_of_half_blocks() -> None:
    """Every line is as wide as the others, and half as many lines as columns."""
    lines = qr.draw(ADDRESS)
    assert lines is not None
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == -(-len(lines[0]) // 2)
    assert set("".join(lines)) <= set("█▀▄ ")


def test_without_the_library_there_is_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one optional library may be absent."""
    monkeypatch.setitem(sys.modules, "segno", None)
    assert qr.draw(ADDRESS) is None


def test_a_code_needs_room_and_utf8() -> None:
    """A terminal that is too narrow, or cannot show the blocks, gets none."""
    lines = ["████"] * 2
    assert qr.fits(lines, 4, "UTF-8")
    assert qr.fits(lines, 80, "utf8")
    assert not qr.fits(lines, 3, "utf-8")
    assert not qr.fits(lines, 80, "ascii")
    assert not qr.fits(lines, 80, None)
