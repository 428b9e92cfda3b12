"""The table of neighbours leaves nobody out, and claims no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.test_docs_facts import named, rows

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "neighbours"
TABLE = rows(FOLDER / "index.md", "The neighbours")
NEIGHBOURS = (
    "INDIGO IAM", "XRootD", "dCache", "StoRM", "tape", "FTS", "Rucio", "DIRAC", "JAliEn", "PanDA",
    "Harvester", "pilot", "GlideinWMS", "HTCondor CE", "ARC CE", "htgettoken", "APEL", "AUDITOR",
)  # fmt: skip
TESTED = ("runs here", "replayed")
UNTESTED = ("planned", "not testable here")


def claimed(row: list[str]) -> list[str]:
    """Return the test files that a row names."""
    return sorted(one for one in named(row[-1]) if re.fullmatch(r"tests/[\w/]+\.py", one))


def test_every_neighbour_has_one_row() -> None:
    """In the order in which they are always named."""
    assert [row[0] for row in TABLE] == list(NEIGHBOURS)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_each_row_says_one_of_four_things(row: list[str]) -> None:
    """What is tested names a test; what is not says why."""
    _, needs, state, because = row
    assert state in TESTED + UNTESTED
    assert needs
    assert claimed(row) or state in UNTESTED
    assert len(because.split()) > 10 or state in TESTED
    assert [one for one in claimed(row) if not (ROOT / one).is_file()] == []


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row[2] == "runs here"], ids=lambda row: row[0]
)
def test_what_runs_here_is_run_by_make_interop(row: list[str]) -> None:
    """Each of its tests carries the mark by which `make interop` finds it."""
    texts = [(ROOT / one).read_text("utf-8") for one in claimed(row)]
    assert all("pytest.mark.interop" in text for text in texts)


def test_every_page_about_a_neighbour_is_linked() -> None:
    """A page that the table does not lead to would not be found."""
    pages = {page.name for page in FOLDER.glob("*.md")} - {"index.md"}
    linked = {link for row in TABLE for link in re.findall(r"\]\(([\w-]+\.md)\)", row[1])}
    assert linked == pages
