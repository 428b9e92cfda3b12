"""All commands as one parser: what the reference, the man pages and the shells' completions are made from."""

from __future__ import annotations

import argparse
import importlib
import os
from typing import TYPE_CHECKING, Any

import shtab

from credbroker.__main__ import COMMANDS, parser_of
from credbroker.cli.examples import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = (
    "Holds people's OIDC refresh tokens in OpenBao or Vault and keeps short-lived access tokens fresh"
    " where their work runs."
)
_COLUMNS = 92
_FILES = {"FILE", "PATH", "LEASE_FILE", "TOKEN_FILE"}
_FOLDERS = {"FOLDER", "DIR"}


def parsers(columns: int = _COLUMNS) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command, by its name, in the order of the overview.

    From then on the usages of all parsers are so many columns wide, whatever the terminal is.
    """
    os.environ["COLUMNS"] = str(columns)
    found = {name: parser_of(name, importlib.import_module(one.module))
             for name, one in COMMANDS.items()}  # fmt: skip
    for parser in found.values():
        _offer_files(parser)
    return found


def walk(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Walk a parser and all its parts, each before its own parts."""
    yield parser
    for part in parts(parser).values():
        yield from walk(part)


def program() -> argparse.ArgumentParser:
    """Return the program's parser, with the commands' own below it."""
    whole = argparse.ArgumentParser(prog="credbroker", description=DESCRIPTION)
    whole.add_argument("-V", "--version", action="store_true", help="print the version and end")
    made: Any = lambda **said: said["parser"]  # noqa: E731 - add_subparsers wants what makes parsers
    below = whole.add_subparsers(metavar="COMMAND", parser_class=made)
    for name, parser in parsers().items():
        below.add_parser(name, help=COMMANDS[name].summary, parser=parser)
    return whole


def _offer_files(parser: argparse.ArgumentParser) -> None:
    """Tell shells where a file or a folder is meant."""
    for one in walk(parser):
        for action in one._actions:  # noqa: SLF001 - nothing public tells
            kind = shtab.FILE if action.metavar in _FILES else shtab.DIRECTORY
            if action.metavar in _FILES | _FOLDERS:
                setattr(action, "complete", kind)  # noqa: B010 - shtab's own way
