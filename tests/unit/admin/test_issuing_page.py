"""What the page on issuing shows is so: its settings are read, its table and its answers are ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from credbroker.config.load import load
from credbroker.domain import lifetimes
from tests.unit.admin.test_policy import explain
from tests.unit.config.place import right, write

PAGE = (Path(__file__).parents[3] / "docs" / "issuing.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return what stands in fences of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return right settings with those of the page."""
    (shown,) = blocks("yaml")
    return write(tmp_path, a=right(tmp_path), b=yaml.safe_load(shown))


def test_the_settings_of_the_page_are_right(folder: Path) -> None:
    """As they stand there."""
    dteam = load(folder).communities["dteam"]
    assert set(dteam.clients) == {"rucio", "fts", "tape", "harvester"}


def test_the_answers_on_the_page_are_those_of_the_command(folder: Path) -> None:
    """Each is played with the settings of the page."""
    shown = blocks("text")
    assert len(shown) == 2
    for block in shown:
        typed, *lines = block.splitlines()
        words = shlex.split(typed.removeprefix("$ credbroker policy explain "))
        code, answered, _ = explain(folder, *words)
        assert answered.splitlines() == lines
        assert code == (5 if lines[0].startswith("refused") else 0)


def test_the_table_of_the_page_is_the_table() -> None:
    """Row by row."""
    assert lifetimes.__doc__ is not None
    rows = re.findall(r"^\| .*$", lifetimes.__doc__, re.MULTILINE)
    assert len(rows) == 1 + len(lifetimes.ROWS)
    assert [row for row in rows if row not in PAGE] == []
