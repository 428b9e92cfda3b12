"""The settings that a page of docs/neighbours shows, as the tests use them.

What a page tells an operator is what runs here: a test takes the page's own block and puts this
machine's names in place of the example's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGES = Path(__file__).parents[3] / "docs" / "neighbours"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(page: str, opening: str) -> str:
    """Return the one block of a page that begins with `opening`."""
    text = (PAGES / page).read_text("utf-8")
    (found,) = [body for _, body in _BLOCK.findall(text) if body.startswith(opening)]
    return str(found)


def communities(page: str, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the section `communities` that a page shows, with this machine's `names` in it."""
    read = yaml.safe_load(put(block(page, "communities:"), names or {}))
    assert isinstance(read, dict)
    return dict(read["communities"])


def put(text: str, names: Mapping[str, str]) -> str:
    """Return `text` with this machine's names; each name of the example must occur in it."""
    for example, ours in names.items():
        assert example in text, f"{example} is not in the page"
        text = text.replace(example, ours)
    return text
