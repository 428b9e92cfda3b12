"""`credbroker agent`: keeps token files fresh: of one job, of a host's sessions, of a list of services."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Mapping

from credbroker.client.address import parse_address
from credbroker.client.blocking import CA_FILE_VARIABLE, Door
from credbroker.client.broker import Broker
from credbroker.delivery import lease_file
from credbroker.delivery.discovery import FILE_VARIABLE
from credbroker.domain.errors import Malformed
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import Log
from credbroker.edge.job.watched import Watched
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    import argparse

EXAMPLE = """\
example, in a job's wrapper:
  export BEARER_TOKEN_FILE=$PWD/bearer_token
  credbroker agent --job lease.json --while-pid $$ &
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker agent`."""
    parser.add_argument(
        "--job", metavar="LEASE_FILE", required=True, help="the lease to ask under: a 0600 file"
    )
    parser.add_argument(
        "--token-file",
        metavar="PATH",
        help=f"the file to keep fresh (default: ${FILE_VARIABLE})",
    )
    parser.add_argument(
        "--while-pid",
        metavar="PID",
        type=int,
        help="end, and remove the token file, when this program has ended",
    )
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        help=f"the certificate authority to trust (default: ${CA_FILE_VARIABLE}, the lease file's)",
    )


def run(args: argparse.Namespace) -> int:
    """Keep the file fresh until told to stop or until the job is over.

    Raises:
        CredbrokerError: No token can be had any more, or a file or option is unfit.
    """
    # SIGTERM then ends the agent as ^C does, at once and with everything cleaned up on the way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log = Log(SystemClock(), sys.stderr)
    try:
        _agent(args, os.environ, log.say).run()
    except KeyboardInterrupt:
        log.say("told to stop", kept="the token file")
    return 0


def _agent(args: argparse.Namespace, environ: Mapping[str, str], say: Callable[..., None]) -> Agent:
    path = args.token_file or environ.get(FILE_VARIABLE)
    if not path:
        raise Malformed(
            "It is not said which file to keep fresh.", f"Give --token-file or set {FILE_VARIABLE}."
        )
    job_runs = Watched(args.while_pid).is_running if args.while_pid is not None else lambda: True
    lease = lease_file.read(Path(args.job))
    ca_file = args.ca_file or environ.get(CA_FILE_VARIABLE) or lease.ca_file
    clock, entropy = SystemClock(), SystemEntropy()
    door = Door(parse_address(lease.broker), clock, ca_file, ca_pem=lease.ca_pem)
    return Agent(
        source=Broker(door.send, clock, entropy, lease.lease_token),
        lease=lease,
        path=Path(path).absolute(),
        clock=clock,
        entropy=entropy,
        say=say,
        job_runs=job_runs,
    )
