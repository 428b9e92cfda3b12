"""Durations as people write and read them: 30s, 10m, 6h, 7d."""

from __future__ import annotations

import re
from typing import List

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)\Z")


def parse_duration(text: str) -> int:
    """Return the seconds that `text` means; a bare number is seconds already.

    Raises:
        ValueError: It is no duration. As `type=` of an option, argparse says so for us.
    """
    match = _DURATION.match(text)
    if match is None:
        message = f"{text!r} is not a duration such as 30s, 10m, 6h or 7d"
        raise ValueError(message)
    return int(match.group(1)) * _SECONDS[match.group(2)]


parse_duration.__name__ = "duration"  # what argparse calls it in "invalid duration value"


def spoken(seconds: float) -> str:
    """Return a length of time in its two largest units, as in "27 d 3 h"."""
    left = max(0, int(seconds))
    if left >= _SECONDS["h"]:  # what is a second short of 27 days is 27 days to a person
        left = round(left / 60) * 60
    parts: List[str] = []
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _SECONDS[unit])
        if count or parts:
            parts.append(f"{count} {'min' if unit == 'm' else unit}")
    if len(parts) < 2:
        parts.append(f"{left} s")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"
