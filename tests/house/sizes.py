"""Keeps modules and functions small enough to be read at one go."""

from __future__ import annotations

import ast
from statistics import median
from typing import TYPE_CHECKING

from tests.house.project import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.project import Project, Source

MODULE_LINES = 400
FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules_are_short(project: Project) -> Iterator[str]:
    """No module is longer than `MODULE_LINES`."""
    for source in project.package:
        if (lines := len(source.text.splitlines())) > MODULE_LINES:
            yield f"{source.path}:1: {lines} lines, at most {MODULE_LINES} may be"


def functions_are_short(project: Project) -> Iterator[str]:
    """No function is longer than `FUNCTION_LINES`, its docstring included."""
    for source in project.package:
        for function in _functions(source):
            if (lines := _length(function)) > FUNCTION_LINES:
                sentence = f"{function.name} has {lines} lines, at most {FUNCTION_LINES} may be"
                yield f"{place(source, function)}: {sentence}"


def most_functions_are_tiny(project: Project) -> Iterator[str]:
    """Half of all functions have at most `MEDIAN_FUNCTION_LINES`."""
    lengths = [_length(function) for source in project.package for function in _functions(source)]
    if lengths and (middle := median(lengths)) > MEDIAN_FUNCTION_LINES:
        yield f"credbroker: the median function has {middle:g} lines, not {MEDIAN_FUNCTION_LINES}"


def _functions(source: Source) -> Iterator[Function]:
    return (node for node in ast.walk(source.tree) if isinstance(node, Function))


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1
