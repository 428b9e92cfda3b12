"""The reference pages that are made from the code are what the code says now, and leave nothing out."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from credbroker import api
from credbroker.cli import exits
from docs.generate import APIS, FOLDER, PAGES, leaves_by_family
from tests.house.test_docs_facts import rows


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_what_the_code_says_now(name: str) -> None:
    """If not, `make docs` writes it anew."""
    assert (FOLDER / name).read_text("utf-8") == PAGES[name]()


def test_every_part_of_the_api_is_on_its_page() -> None:
    """Whatever offers operations is asked for them."""
    rooms = [importlib.import_module(f"{api.__name__}.{one.name}")
             for one in pkgutil.iter_modules(api.__path__)]  # fmt: skip
    offering = {
        kind
        for room in rooms
        for kind in vars(room).values()
        if isinstance(kind, type) and kind.__module__ == room.__name__ and hasattr(kind, "operations")
    }  # fmt: skip
    assert offering == set(APIS)


def test_every_exit_code_has_its_meaning() -> None:
    """Those of the table of errors, and the few beside it."""
    beside = {0, exits.FAILED, exits.INTERRUPTED}
    stated = {int(row[0]) for row in rows(FOLDER / "exit-codes.md", "Exit codes")}
    assert stated == beside | {code for _, code in exits.EXITS}


def test_every_error_is_explained_in_a_sentence() -> None:
    """One that says nothing of itself would leave a hole in the table."""
    assert [kind for kind in leaves_by_family() if not (kind.__doc__ or "").strip()] == []
