"""Writes the table of values in the chart's README from the comments in its values.yaml.

    python helm/readme.py

Each value's comment stands directly above it. What stands above the table is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "credbroker"
README = CHART / "README.md"
BEGINS = "<!-- What follows is written by helm/readme.py. -->\n"

_KEY = re.compile(r"( *)([A-Za-z]+):.*")
_COMMENT = re.compile(r" *# ?(.*)")


def described(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key of values.yaml, dotted, and what is said of it, which may be nothing."""
    above: list[str] = []
    way: list[str] = []
    for line in text.splitlines():
        comment, key = _COMMENT.fullmatch(line), _KEY.fullmatch(line)
        if comment:
            above.append(comment[1])
            continue
        if key:
            way = [*way[: len(key[1]) // 2], key[2]]
            yield ".".join(way), " ".join(above)
        above = []


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each key that is described: key, default, meaning; parts have no default."""
    values: Any = yaml.safe_load(text)
    said = {dotted: meaning for dotted, meaning in described(text) if meaning}
    for dotted, meaning in said.items():
        is_part = any(other.startswith(f"{dotted}.") for other in said)
        yield dotted, "" if is_part else f"`{_default(values, dotted)}`", meaning


def readme() -> str:
    """Return the README as it should be."""
    by_hand = README.read_text("utf-8").partition(BEGINS)[0]
    table = ["", "| Value | Default | Meaning |", "|---|---|---|"]
    for key, default, said in rows((CHART / "values.yaml").read_text("utf-8")):
        table.append(f"| `{key}` | {default} | {said[0].upper()}{said[1:]} |")
    return by_hand + BEGINS + "\n".join(table) + "\n"


def _default(values: Any, dotted: str) -> str:
    for key in dotted.split("."):
        values = values[key]
    return json.dumps(values)


if __name__ == "__main__":
    README.write_text(readme(), "utf-8")
