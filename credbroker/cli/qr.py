"""Draws a QR code, for a terminal or as a picture, if the optional library for it is there."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.ports import Entropy

PICTURES = (".png", ".svg")
NOT_DRAWN = "No QR code can be drawn: the Python package segno is not installed, or the address is too long.\n"
"""Said where a code was wanted and there is none."""

_QUIET_MODULES = 2
_SCALE = 8
_WISHES = frozenset({"auto", "always", "never"})


@dataclass(frozen=True)
class Drawn:
    """A QR code for a terminal: its lines, and how many columns they take."""

    lines: List[str]
    columns: int


def draw(text: str, encoding: Optional[str] = "utf-8") -> Optional[Drawn]:
    """Return the QR code for `text`; None if there is none.

    With UTF-8 it is drawn light on dark with half blocks, which phones read in either colouring;
    without, twice as large, by the colours of blanks.
    """
    code = _code(text)
    if code is None:
        return None
    compact = (encoding or "").lower().replace("-", "") == "utf8"
    drawn = io.StringIO()
    code.terminal(drawn, border=_QUIET_MODULES, compact=compact)
    modules = int(code.symbol_size(border=_QUIET_MODULES)[0])
    return Drawn(drawn.getvalue().splitlines(), modules if compact else 2 * modules)


def show(text: str, desk: Desk, wish: str = "auto") -> None:
    """Draw the QR code for `text` where it can be read, or where somebody insists.

    `wish` is auto, always or never.
    """
    if wish == "never" or (wish == "auto" and not desk.err.isatty()):
        return
    drawn = draw(text, desk.err.encoding)
    if drawn is None:
        if wish == "always":
            desk.say(NOT_DRAWN)
    elif wish == "always" or drawn.columns <= desk.columns:
        desk.say("\n".join([*drawn.lines, ""]))


def picture(text: str) -> Optional[str]:
    """Return the QR code for `text` as SVG to stand in a page; None if there is none."""
    code = _code(text)
    return None if code is None else str(code.svg_inline(scale=_SCALE // 2, light="white"))


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


def save(text: str, path: Path, entropy: Entropy) -> Optional[whole_file.Identity]:
    """Put the QR code for `text` at `path`, as the picture that its ending names, for us alone.

    Returns which file it is; None, having done nothing, if there is no code. Raises `LocalFileUnfit`,
    also if somebody else made a file there meanwhile.
    """
    code = _code(text)
    if code is None:
        return None
    drawn = io.BytesIO()
    code.save(drawn, kind=path.suffix.lower().lstrip("."), scale=_SCALE)
    return whole_file.replace(path, drawn.getvalue(), entropy, may_replace=lambda _: False)


def _code(text: str) -> Any:
    """Return the code that segno makes; None without that library, and for more than a code can hold."""
    try:
        import segno
    except ImportError:
        return None
    try:
        return segno.make(text, error="l", micro=False)
    except segno.DataOverflowError:
        return None
