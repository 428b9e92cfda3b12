"""`credbroker shims FOLDER`: writes stand-ins for htgettoken and its companions, to be first on PATH.

- Each is a script of three lines that calls the very program that wrote it, where that is now, with
  `shims --as` and its own name; all words behind that are the other program's.
- Nothing that somebody else put there is replaced, and a stand-in is replaced as a whole.
- The scripts hold no settings: those are HTGETTOKENOPTS and the command line, as ever.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shlex
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, List, Mapping, Optional, Protocol, Sequence, cast

from credbroker.cli.desk import plain, system_desk
from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk

EXAMPLE = """\
example:
  credbroker shims ~/bin
  HTGETTOKENOPTS='-a htvault.example.org -i cms' ~/bin/htgettoken
"""

PROGRAMS: Mapping[str, str] = {
    "htgettoken": "credbroker.cli.htgettoken.command",
    "httokensh": "credbroker.cli.htgettoken.shell",
    "htdecodetoken": "credbroker.cli.htgettoken.decode",
    "httokendecode": "credbroker.cli.htgettoken.decode",
    "htdestroytoken": "credbroker.cli.htgettoken.destroy",
}
"""Each stand-in and the module that is it; all offer `stand_in(words, desk)`."""

STORER = "credbroker-condor-storer"
_AS = "--as"
_STORER_MODULE = "credbroker.edge.storer"
_MARK = "# Written by credbroker shims; stands in for "
_MODE = 0o755


class StandIn(Protocol):
    """A module that ends as the program does that it stands in for."""

    def stand_in(self, words: Sequence[str], desk: Desk) -> int:
        """Do what these words ask for, and return the exit code."""


def read_foreign(words: List[str]) -> Optional[argparse.Namespace]:
    """Return the words of the program to stand in for, unread, if that is what to do."""
    if words[:1] != [_AS]:
        return None
    return argparse.Namespace(stand_in=words[1:], folder=None, debug=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker shims`."""
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to write them")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Write the stand-ins and print their paths, or be one of them; raise what went wrong."""
    desk = desk or system_desk()
    if "stand_in" in args:
        return _be(args.stand_in, desk)
    if args.folder is None:
        raise Malformed("Where shall the stand-ins be?", "As in: credbroker shims ~/bin")
    folder = Path(args.folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None
    for name, deed in deeds().items():
        path = folder / name
        content = script(name, [*own_words(), *deed])
        whole_file.replace(path, content.encode(), desk.entropy, mode=_MODE, may_replace=_is_ours)
        desk.answer(plain(str(path)))
    if not _has_storer():
        desk.say(f"{STORER} is not among them: this one-file program has no condor-storer.")
    return 0


def deeds() -> Mapping[str, List[str]]:
    """Return what each stand-in calls this program with, before its own words."""
    found = {name: ["shims", _AS, name] for name in PROGRAMS}
    return {**found, STORER: ["condor-storer"]} if _has_storer() else found


def script(name: str, words: Sequence[str]) -> str:
    """Return the script that calls `words`, and its own words after them."""
    return f'#!/bin/sh\n{_MARK}{name}\nexec {shlex.join(words)} "$@"\n'


def own_words(argv: Optional[Sequence[str]] = None) -> List[str]:
    """Return how this very program is called, from any folder: its file, behind Python if need be."""
    called = Path((sys.argv if argv is None else argv)[0]).absolute()
    if called.is_file() and zipfile.is_zipfile(called):
        return [sys.executable, "-I", str(called)]
    if called.name != "__main__.py" and called.is_file() and os.access(called, os.X_OK):
        return [str(called)]
    return [sys.executable, "-I", "-m", "credbroker"]


def _be(words: Sequence[str], desk: Desk) -> int:
    module = PROGRAMS.get(words[0]) if words else None
    if module is None:
        raise Malformed(
            f"There is no stand-in of that name; there are {', '.join(PROGRAMS)}.",
            "Write them anew with: credbroker shims FOLDER",
        )
    return cast("StandIn", importlib.import_module(module)).stand_in(words[1:], desk)


def _has_storer() -> bool:
    try:
        return importlib.util.find_spec(_STORER_MODULE) is not None
    except ModuleNotFoundError:
        return False


def _is_ours(content: bytes) -> bool:
    return _MARK.encode() in content
