"""Has the help of each part of a command end with those lines of the command's example that are about it.

An example is an `EXAMPLE` text: a heading, then lines to type, indented by two; a line that ends in a
backslash goes on, and lines that begin with other words belong to the line before.
"""

from __future__ import annotations

import argparse
from typing import Iterator, List, Mapping

_HEADING = "example:"
_INDENT = "  "


def share_example(parser: argparse.ArgumentParser, example: str) -> None:
    """Give each part of `parser` its own lines of `example`, which is the text of the whole command."""
    for part in parts(parser).values():
        lines = [line for one in entries(example) if _is_about(part.prog, one) for line in one]
        part.epilog = "\n".join([_HEADING, *lines]) + "\n"
        part.formatter_class = argparse.RawDescriptionHelpFormatter
        share_example(part, example)


def parts(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the parsers of a command's parts by the words that choose them."""
    found = [one.choices for one in parser._actions if one.nargs == argparse.PARSER]  # noqa: SLF001 - nothing public tells
    return {name: part for choices in found for name, part in dict(choices or {}).items()}


def entries(example: str) -> Iterator[List[str]]:
    """Walk the lines that are typed, each with those that go on with it."""
    entry: List[str] = []
    for line in example.splitlines():
        goes_on = bool(entry) and entry[-1].endswith("\\")
        if line.startswith(_INDENT):
            if entry and not goes_on:
                yield entry
                entry = []
            entry = [*entry, line]
    if entry:
        yield entry


def _is_about(prog: str, entry: List[str]) -> bool:
    return f"{prog} " in f"{' '.join(entry)} "
