"""Draws a QR code for a terminal, if the optional library for it is there."""

from __future__ import annotations

import io
from typing import List, Optional

_QUIET_MODULES = 2


def draw(text: str) -> Optional[List[str]]:
    """Return the lines of the QR code for `text`; None without the library segno.

    It is drawn light on dark with half blocks, which phones read in either colouring.
    """
    try:
        import segno
    except ImportError:
        return None
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, border=_QUIET_MODULES, compact=True)
    return drawn.getvalue().splitlines()


def fits(lines: List[str], columns: int, encoding: Optional[str]) -> bool:
    """True if a terminal of this width and encoding shows the lines as they are meant."""
    is_utf8 = (encoding or "").lower().replace("-", "") == "utf8"
    return is_utf8 and all(len(line) <= columns for line in lines)
