"""`credbroker agent`: keeps token files fresh: of one job, of a host's sessions, of a list of services.

Which of them it is, one option says; the part that does it is loaded then and not before. For one
job the standard library is enough; the others are in the whole of credbroker.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from credbroker.domain.errors import NotFound
from credbroker.edge.job import command as job

if TYPE_CHECKING:
    import argparse

EXAMPLE = """\
examples:
  credbroker agent --job lease.json -- ./analysis      # in a job: run it with a fresh token file
  credbroker agent --list /etc/credbroker/tokens.yaml  # on a machine with services
  credbroker agent --sessions                          # on a login host, as root
"""

_ELSEWHERE = {
    "list": "credbroker.edge.listed",
    "sessions": "credbroker.edge.sessions.command",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker agent`."""
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--job", metavar="LEASE_FILE", help="one job: ask under this 0600 file")
    kinds.add_argument("--list", metavar="FILE", help="services: keep what this file lists")
    kinds.add_argument(
        "--sessions", action="store_true", help="a login host: keep what people order"
    )
    hosts = parser.add_argument_group("with --sessions")
    hosts.add_argument("--settings", metavar="FILE", help="the settings of this host's agent")
    hosts.add_argument("--join", metavar="FILE", help="join with the token in this file, then end")
    job.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Keep the files fresh until told to stop or until there is nothing more to do.

    Raises:
        CredbrokerError: No token can be had any more, or a file or option is unfit.
    """
    if args.job is not None:
        return job.run(args, os.environ)
    kind = "list" if args.list is not None else "sessions"
    try:
        code: int = importlib.import_module(_ELSEWHERE[kind]).run(args)
    except ModuleNotFoundError as missing:
        raise NotFound(
            f"agent --{kind} is not in this one-file program (missing here: {missing.name}).",
            "Use the whole of credbroker.",
        ) from None
    return code
