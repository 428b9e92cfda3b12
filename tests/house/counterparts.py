"""Gives each module that can be tested by itself a test file of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.project import Project

TESTED_ALONE = frozenset(
    ["domain", "wire", "config", "broker", "delivery", "telemetry", "client", "edge", "cli"]
)


def modules_have_their_tests(project: Project) -> Iterator[str]:
    """`credbroker/<room>/x.py` has `tests/unit/<room>/test_x.py`, in every room of these."""
    for source in project.package:
        if source.room not in TESTED_ALONE or source.path.name == "__init__.py":
            continue
        folder = Path("tests/unit", *source.path.parts[1:-1])
        expected = folder / f"test_{source.path.name}"
        if not (project.root / expected).is_file():
            yield f"{source.path}:1: has no {expected}"
