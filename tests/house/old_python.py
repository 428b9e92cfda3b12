"""Keeps the rooms that go into `credbroker.pyz` fit for Python 3.9.

vermin knows which names and syntax came later. What it cannot tell apart is a union that is
evaluated from one in an annotation, which is never evaluated; that is looked for here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeGuard

from credbroker.zipapp import PARTS
from tests.house.project import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.house.project import Project, Source

_VERMIN = ("-t=3.9-", "--no-tips", "--violations", "--pessimistic", "--format", "parsable")
_VIOLATION = re.compile(r"(?P<file>.+\.py):(?P<line>\d+):\d*:[^:]*:(?P<since>[^:]*):(?P<what>.+)")
_ANNOTATIONS = ("annotation", "returns")
_BUILT_IN = frozenset(
    [
        "bool",
        "bytes",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "object",
        "set",
        "str",
        "tuple",
        "type",
    ]
)


def old_python_knows_all_names_and_syntax(project: Project) -> Iterator[str]:
    """By vermin nothing is later than 3.9, but for what only type checkers import."""
    sources = {str(project.root / source.path): source for source in _in_pyz(project)}
    if not sources:
        return
    vermin = Path(sys.executable).with_name("vermin")
    told = subprocess.run([vermin, *_VERMIN, *sources], capture_output=True, text=True, check=False)
    for found in map(_VIOLATION.fullmatch, told.stdout.splitlines()):
        if found and int(found["line"]) not in _lines_for_type_checkers(sources[found["file"]]):
            path = sources[found["file"]].path
            yield f"{path}:{found['line']}: {found['what']} needs Python {found['since']}"


def old_python_evaluates_no_union(project: Project) -> Iterator[str]:
    """`X | Y` between types stands in annotations alone, and those are not evaluated."""
    for source in _in_pyz(project):
        unread = _lines_for_type_checkers(source)
        for node in _evaluated(source.tree):
            if _joins_types(node) and node.lineno not in unread:
                yield f"{place(source, node)}: X | Y is evaluated, which needs Python 3.10"


def annotations_are_never_evaluated(project: Project) -> Iterator[str]:
    """Every module with an annotation begins with `from __future__ import annotations`."""
    for source in _in_pyz(project):
        annotated = any(
            getattr(node, field, None) for node in ast.walk(source.tree) for field in _ANNOTATIONS
        )
        if annotated and "from __future__ import annotations" not in source.text.splitlines():
            yield f"{source.path}:1: lacks from __future__ import annotations"


def _in_pyz(project: Project) -> list[Source]:
    return [source for source in project.package if any(map(_below(source), PARTS))]


def _below(source: Source) -> Callable[[str], bool]:
    path = PurePath(*source.path.parts[1:])
    return lambda part: path == PurePath(part) or PurePath(part) in path.parents


def _lines_for_type_checkers(source: Source) -> set[int]:
    blocks = (
        statement
        for node in ast.walk(source.tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
    )
    return {line for block in blocks for line in range(block.lineno, (block.end_lineno or 0) + 1)}


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Walk below `node`, but into no annotation."""
    yield node
    for field, value in ast.iter_fields(node):
        if field not in _ANNOTATIONS:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _evaluated(child)


def _joins_types(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and (_is_a_type(node.left) or _is_a_type(node.right))
    )


def _is_a_type(node: ast.expr) -> bool:
    """Whether this is None, or the name of a class by the way it is spelt."""
    if isinstance(node, ast.Subscript):
        return _is_a_type(node.value)
    if isinstance(node, ast.Name):
        return node.id in _BUILT_IN or re.fullmatch(r"[A-Z]\w*[a-z]\w*", node.id) is not None
    return isinstance(node, ast.Constant) and node.value is None
