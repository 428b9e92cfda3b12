"""Lets nothing be left out of the tests or the type checks without saying why."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING, TypeGuard

from tests.house.project import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.project import Project, Source

_EXCUSES = ("skip", "skipif", "xfail")
_IGNORE = re.compile(r"#\s*type:\s*ignore")
_EXPLAINED = re.compile(r"#\s*type:\s*ignore\[[\w, -]+\]\s*#?\s*\w.{3,}")


def skipped_tests_say_why(project: Project) -> Iterator[str]:
    """Every skip, skipif and xfail of pytest has a reason."""
    for source in project.tests:
        explained = {id(node.func) for node in ast.walk(source.tree) if _gives_a_reason(node)}
        for node in ast.walk(source.tree):
            if _is_an_excuse(node) and id(node) not in explained:
                yield f"{place(source, node)}: {node.attr} without a reason"


def ignored_types_say_why(project: Project) -> Iterator[str]:
    """Every `type: ignore` has its code and, behind it, a reason."""
    for source in [*project.package, *project.tests]:
        for line, comment in _comments(source):
            if _IGNORE.search(comment) and not _EXPLAINED.search(comment):
                yield f"{source.path}:{line}: type: ignore without a code or a reason"


def _is_an_excuse(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _EXCUSES
        and ast.unparse(node.value) in {"pytest", "pytest.mark", "mark"}
    )


def _gives_a_reason(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether this is a call with `reason=`, or `skip` and `xfail` with the reason first."""
    if not (isinstance(node, ast.Call) and _is_an_excuse(node.func)):
        return False
    by_name = any(word.arg == "reason" for word in node.keywords)
    return by_name or (node.func.attr != "skipif" and bool(node.args))


def _comments(source: Source) -> Iterator[tuple[int, str]]:
    for piece in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if piece.type == tokenize.COMMENT:
            yield piece.start[0], piece.string
