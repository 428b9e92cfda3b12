"""`credbroker completion SHELL`: prints what lets bash, zsh or fish complete these commands.

The texts are made from the commands' own parsers by `python -m docs.generate_commands` and come with
the program, so that they are at hand where nothing can be installed.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Optional

from credbroker.cli.desk import system_desk
from credbroker.domain.errors import LocalFileUnfit

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk

EXAMPLE = """\
example:
  credbroker completion bash > ~/.local/share/bash-completion/completions/credbroker
  credbroker completion zsh > ~/.zfunc/_credbroker
  credbroker completion fish > ~/.config/fish/completions/credbroker.fish
"""

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Print the text for one shell; raise `LocalFileUnfit` if this program came without it."""
    desk = desk or system_desk()
    try:
        text = pkgutil.get_data(__package__, f"completions/credbroker.{args.shell}")
    except OSError:
        text = None
    if text is None:
        raise LocalFileUnfit(
            "This program came without what its shells need.", "Install credbroker anew."
        )
    desk.out.write(text.decode())
    return 0
