"""Writes what is made from the commands' parsers: `python -m docs.generate_commands [--man FOLDER]`.

That is `docs/reference/commands.md` and the shells' completions in the package, both of which a house
test holds to the code; and, where a folder is named, a man page for each command.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import shtab

from credbroker.cli import completion
from docs.command_tree import parsers, program, walk
from docs.man_pages import man_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "commands.md"
COMPLETIONS = ROOT / "credbroker" / "cli" / "completions"
_HEAD = """\
# Commands

Each command of `credbroker`, as `credbroker COMMAND --help` has it. Every one also takes `--help`, and
`--debug`, which shows where in the program it failed. [Exit codes](exit-codes.md) are on a page of their own.

*Made from the commands themselves by `python -m docs.generate_commands`; what is wrong here is mended there.*
"""
_NOT_AGAIN = {"--help", "--debug"}


def reference() -> str:
    """Return the page of all commands."""
    return _HEAD + "".join(
        line for parser in parsers().values() for one in walk(parser) for line in _section(one)
    )


def _section(parser: argparse.ArgumentParser) -> Iterator[str]:
    depth = parser.prog.count(" ") + 1
    yield f"\n{'#' * depth} {parser.prog}\n\n"
    if parser.description:
        yield f"{parser.description}\n\n"
    yield f"```text\n{parser.format_usage().removeprefix('usage: ')}```\n"
    rows = list(_rows(parser))
    if rows:
        yield "\n| Option | Meaning |\n|---|---|\n" + "".join(rows)
    if parser.epilog:
        yield f"\n```text\n{parser.epilog.strip()}\n```\n"


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()  # noqa: SLF001 - nothing public fills in defaults
    for one in parser._actions:  # noqa: SLF001 - nothing public tells
        if one.nargs == argparse.PARSER or _NOT_AGAIN & set(one.option_strings):
            continue
        metavar = " ".join(one.metavar) if isinstance(one.metavar, tuple) else one.metavar
        value = "" if one.nargs == 0 else f" {metavar or one.dest.upper()}"
        names = ", ".join(f"`{name}{value}`" for name in one.option_strings) or f"`{value.strip()}`"
        meaning = formatter._expand_help(one) if one.help else ""  # noqa: SLF001 - as above
        yield f"| {_cell(names)} | {_cell(meaning)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def completions() -> dict[str, str]:
    """Return what completes the commands, by shell."""
    return {shell: shtab.complete(program(), shell) for shell in completion.SHELLS}


def main() -> None:
    """Write all of it."""
    taken = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    taken.add_argument("--man", type=Path, metavar="FOLDER", help="write man pages there, too")
    folder: Path | None = taken.parse_args().man
    PAGE.write_text(reference(), "utf-8")
    COMPLETIONS.mkdir(exist_ok=True)
    for shell, text in completions().items():
        (COMPLETIONS / f"credbroker.{shell}").write_text(text, "utf-8")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in man_pages().items():
            (folder / f"{name}.1").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
