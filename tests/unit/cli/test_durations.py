"""Durations are read and spoken as people do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.cli.durations import parse_duration, spoken


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("6h", 21600), ("7d", 604800), ("45", 45)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    """Without a unit it is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "1.5h", "1w", "1h30m", " 1h", "1h\n", "1" * 20])
def test_anything_else_is_refused(text: str) -> None:
    """Half-understood durations would be worse than an error."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (27 * 86400 + 3 * 3600 + 59, "27 d 3 h"),
        (86400 + 59, "1 d"),
        (27 * 86400 - 1, "27 d"),
    ],
)
def test_a_length_of_time_is_spoken_in_two_units(seconds: float, text: str) -> None:
    """The largest unit and the next one; what is nought is left out."""
    assert spoken(seconds) == text


@given(st.floats(0, 1e8))
def test_what_is_spoken_is_never_empty(seconds: float) -> None:
    """There is always a number with a unit."""
    assert spoken(seconds)[0].isdigit()
