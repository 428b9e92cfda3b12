"""Keeps certain calls to the rooms that are meant to make them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeGuard

from tests.house.project import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.project import Project

# Where a secret must be sent, stored or delivered; all others pass it on wrapped.
MAY_REVEAL = frozenset({"wire", "stores", "issuers", "client", "delivery", "demo"})
MAY_CONFIGURE_LOGS = frozenset({"telemetry"})
_CONFIGURE = frozenset({"configure", "configure_once"})


def secrets_are_revealed_in_few_rooms(project: Project) -> Iterator[str]:
    """`reveal` is touched in `MAY_REVEAL` only."""
    for source in project.package:
        if source.room in MAY_REVEAL:
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node.attr == "reveal":
                yield f"{place(source, node)}: the room {source.room} may not reveal a secret"


def logs_are_configured_in_one_room(project: Project) -> Iterator[str]:
    """The structlog library is configured in `MAY_CONFIGURE_LOGS` only."""
    for source in project.package:
        if source.room in MAY_CONFIGURE_LOGS:
            continue
        for node in ast.walk(source.tree):
            if _names_configure(node):
                yield f"{place(source, node)}: structlog is configured in telemetry only"


def _names_configure(node: ast.AST) -> TypeGuard[ast.expr | ast.stmt]:
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module == "structlog" and not _CONFIGURE.isdisjoint(names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _CONFIGURE
        and isinstance(node.value, ast.Name)
        and node.value.id == "structlog"
    )
