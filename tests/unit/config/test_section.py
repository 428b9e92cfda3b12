"""What every part of the settings is made of."""

from __future__ import annotations

import msgspec
import pytest

from credbroker.config.section import Seconds, Section, Text


class _Part(Section, frozen=True):
    name: Text
    pause: Seconds = 1.0


def test_a_key_that_nobody_knows_is_an_error() -> None:
    """A typo must not become a default."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"name": "x", "pose": 2}, _Part)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x", "pause": 0}, {"name": 1}])
def test_texts_are_not_empty_and_times_are_more_than_nothing(wrong: dict[str, object]) -> None:
    """Nor of another kind."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, _Part)


def test_nothing_changes_a_setting_while_the_program_runs() -> None:
    """It is frozen."""
    part = msgspec.convert({"name": "x"}, _Part)
    with pytest.raises(AttributeError):
        part.name = "y"  # type: ignore[misc]  # that is what is tried
