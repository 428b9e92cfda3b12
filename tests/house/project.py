"""The source tree under inspection, parsed once for all checks."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One Python file: its path seen from the project's folder, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first name below the top folder, as "wire" or "ports"."""
        return self.path.with_suffix("").parts[1]


@dataclass(frozen=True)
class Project:
    """A folder that holds `credbroker/`, `tests/` and `docs/`, as far as they exist."""

    root: Path

    @cached_property
    def package(self) -> list[Source]:
        """Every module of the package."""
        return self._sources("credbroker")

    @cached_property
    def tests(self) -> list[Source]:
        """Every module of the tests."""
        return self._sources("tests")

    def _sources(self, folder: str) -> list[Source]:
        return [self._source(path) for path in sorted((self.root / folder).rglob("*.py"))]

    def _source(self, path: Path) -> Source:
        text = path.read_text(encoding="utf-8")
        return Source(path.relative_to(self.root), text, ast.parse(text, str(path)))


def place(source: Source, node: ast.expr | ast.stmt) -> str:
    """Name a line as an editor opens it."""
    return f"{source.path}:{node.lineno}"
