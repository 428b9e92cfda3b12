"""Keeps words out of names that say nothing, or say two things at once."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.house.project import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.project import Project

BANNED = frozenset(
    [
        "manager",
        "managers",
        "handler",
        "handlers",
        "helper",
        "helpers",
        "util",
        "utils",
        "data",
        "info",
        "process",
        "processes",
        "credential",
        "credentials",
    ]
)
# Names that a standard or a framework gave; they are not ours to choose.
GIVEN = ("client_credentials",)  # the grant of RFC 6749 section 4.4
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def names_use_the_vocabulary(project: Project) -> Iterator[str]:
    """No class, function, module or folder has a banned word in its name, nor is one "Token"."""
    for source in project.package:
        for part in source.path.with_suffix("").parts:
            yield from (f"{source.path}:1: {fault}" for fault in _faults(part))
        for node in ast.walk(source.tree):
            if isinstance(node, Named):
                yield from (f"{place(source, node)}: {fault}" for fault in _faults(node.name))
            if isinstance(node, ast.ClassDef) and node.name == "Token":
                yield f"{place(source, node)}: say which token the class Token means"


def _faults(name: str) -> list[str]:
    ours = name
    for given in GIVEN:
        ours = ours.replace(given, "")
    words = {word.lower() for word in _WORD.findall(ours)}
    return [f'"{word}" in {name} is no word of the glossary' for word in sorted(words & BANNED)]
