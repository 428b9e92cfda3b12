"""Draws a QR code, for a terminal or as a picture, if the optional library for it is there."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed

if TYPE_CHECKING:
    from credbroker.ports import Entropy

PICTURES = (".png", ".svg")
_QUIET_MODULES = 2
_SCALE = 8
_WISHES = frozenset({"auto", "always", "never"})


@dataclass(frozen=True)
class Drawn:
    """A QR code for a terminal: its lines, and how many columns they take."""

    lines: List[str]
    columns: int


def draw(text: str, encoding: Optional[str] = "utf-8") -> Optional[Drawn]:
    """Return the QR code for `text`; None without the library segno.

    With UTF-8 it is drawn light on dark with half blocks, which phones read in either colouring;
    without, twice as large, by the colours of blanks.
    """
    try:
        import segno
    except ImportError:
        return None
    compact = (encoding or "").lower().replace("-", "") == "utf8"
    code = segno.make(text, error="l", micro=False)
    drawn = io.StringIO()
    code.terminal(drawn, border=_QUIET_MODULES, compact=compact)
    modules = int(code.symbol_size(border=_QUIET_MODULES)[0])
    return Drawn(drawn.getvalue().splitlines(), modules if compact else 2 * modules)


def check_wish(wish: str) -> str:
    """Return what was said of the QR code.

    Raises:
        Malformed: It is neither one of the words nor the name of a picture.
        LocalFileUnfit: There is such a file already, which would be lost.
    """
    if is_picture(wish) and not wish.lower().endswith(PICTURES):
        raise Malformed(
            f"A QR code cannot be put into {wish}.",
            f"Say auto, always, never, or name a file that ends with {' or '.join(PICTURES)}.",
        )
    if is_picture(wish) and Path(wish).exists():
        raise LocalFileUnfit(f"{wish} is there already.", "Name a file that is not there.")
    return wish


def is_picture(wish: str) -> bool:
    """True if the QR code is wanted in a file."""
    return wish not in _WISHES


def save(text: str, path: Path, entropy: Entropy) -> bool:
    """Put the QR code for `text` at `path`, as the picture that its ending names, for us alone.

    Returns False, having done nothing, without the library segno. Raises `LocalFileUnfit`.
    """
    try:
        import segno
    except ImportError:
        return False
    drawn = io.BytesIO()
    segno.make(text, error="l", micro=False).save(
        drawn, kind=path.suffix.lower().lstrip("."), scale=_SCALE
    )
    whole_file.replace(path, drawn.getvalue(), entropy)
    return True
