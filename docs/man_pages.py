"""A man page for each command, made from its parser, and one that lists them."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from argparse_manpage.manpage import Manpage

from credbroker import __version__
from credbroker.__main__ import COMMANDS
from docs.command_tree import DESCRIPTION, parsers

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS = 76  # of a usage that is set off by four
_ABOUT = {
    "project_name": "credbroker",
    "version": __version__,
    "manual_title": "credbroker",
}


def man_pages() -> dict[str, str]:
    """Return the text of each page by its name: `credbroker` and `credbroker-COMMAND`."""
    return {"credbroker": _program()} | {
        f"credbroker-{name}": _page(f"credbroker-{name}", parser, COMMANDS[name].summary)
        for name, parser in parsers(_COLUMNS).items()
    }


def _program() -> str:
    parser = argparse.ArgumentParser(prog="credbroker", description=DESCRIPTION, add_help=False)
    parser.usage = "credbroker COMMAND [OPTION ...]"
    listed = [f".TP\n.BR credbroker\\-{_plain(name)} (1)\n{_plain(one.summary)}"
              for name, one in COMMANDS.items()]  # fmt: skip
    summary = "access tokens that are fresh where work runs"
    return _page("credbroker", parser, summary, ("Commands", "\n".join(listed)))


def _page(name: str, parser: argparse.ArgumentParser, summary: str, *more: tuple[str, str]) -> str:
    maker: Any = Manpage
    made = maker(parser, dict(_ABOUT), format="single-commands-section")
    made.prog = name
    made.description = summary
    made.add_section("synopsis", "=", _synopsis(parser))
    for heading, content in more:
        made.add_section(heading, "=", content)
    if parser.epilog:
        made.add_section("examples", "=", _as_it_stands(parser.epilog.splitlines()))
        parser.epilog = None
    if name != "credbroker":
        made.add_section("see also", "=", ".BR credbroker (1)")
    return _mended(str(made))


def _synopsis(parser: argparse.ArgumentParser) -> str:
    return _as_it_stands(parser.format_usage().removeprefix("usage: ").splitlines())


def _as_it_stands(lines: Iterable[str]) -> str:
    return "\n".join([".nf", *(_plain(line) or ".sp" for line in lines), ".fi"])


def _plain(text: str) -> str:
    """Return text as roff shows it: no letter of it is a command."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def _mended(text: str) -> str:
    """Mend what groff and mandoc warn of: empty lines, a heading on two lines, lines too full to adjust."""
    text = re.sub(r"^\.SH\nPOSITIONAL ARGUMENTS$", ".SH ARGUMENTS", text, flags=re.MULTILINE)
    text = re.sub(r"^([^.\n].*)\n\n+(?=[^.\n])", r"\1\n.PP\n", text, flags=re.MULTILINE)
    head, _, rest = re.sub(r"\n\n+", "\n", text).partition("\n")
    date_told = head.replace("\\-", "-")
    return f"{date_told}\n.ad l\n{rest}"
