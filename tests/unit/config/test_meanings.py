"""Each setting has a meaning in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from credbroker.admin.config_example import section_in
from credbroker.config.meanings import MEANINGS
from credbroker.config.schema import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def keys(section: type[msgspec.Struct] = Settings, at: str = "") -> Iterator[str]:
    """Walk the settings tree."""
    for field in msgspec.structs.fields(section):
        key = f"{at}{field.encode_name}" + (".<name>" if "dict" in str(field.type) else "")
        inner = section_in(field.type)
        yield from [key] if inner is None else keys(inner, f"{key}.")


def test_every_setting_has_a_meaning_and_nothing_else_has() -> None:
    """One that is new needs one, too."""
    assert sorted(MEANINGS) == sorted(keys())


def test_a_meaning_is_a_line_of_plain_words() -> None:
    """It stands in tables and in comments."""
    for meaning in MEANINGS.values():
        assert meaning
        assert meaning.isprintable()
        assert "](" not in meaning
