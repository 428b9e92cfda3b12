"""`credbroker agent --job`: its options, and how its parts are joined."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, Mapping

from credbroker.client.address import parse_address
from credbroker.client.blocking import Door
from credbroker.client.broker import Broker
from credbroker.client.reaching import CA_FILE_VARIABLE
from credbroker.delivery import lease_file
from credbroker.delivery.discovery import FILE_VARIABLE
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.edge.job.beside_condor import FOLDER_VARIABLE, BesideCondor
from credbroker.edge.job.chain import Chain, Chained, alone
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import Log
from credbroker.edge.job.program import Program, WakingClock
from credbroker.edge.job.under_agent import environ_of_program, run_under
from credbroker.edge.job.watched import Watched
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    import argparse

    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.edge.job.keeping import TokenSource

OWN_FOLDER = ".credbroker"
"""Beside the lease file; batch systems that send a job's new files back leave new folders alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that go with `--job`."""
    options = parser.add_argument_group("with --job")
    options.add_argument(
        "program",
        nargs="*",
        metavar="-- PROGRAM",
        help="run this, with its arguments, once the first token is there; end with its exit code",
    )
    options.add_argument(
        "--token-file",
        metavar="PATH",
        help=f"the file to keep fresh (default: ${FILE_VARIABLE}; with a program, one in"
        f" {OWN_FOLDER} beside the lease file)",
    )
    options.add_argument(
        "--state",
        metavar="FILE",
        help=f"where the lease's next secret is kept (default: in {OWN_FOLDER} beside the lease file)",
    )
    options.add_argument(
        "--while-pid",
        metavar="PID",
        type=int,
        help="end, and remove the token file, when this program has ended",
    )
    options.add_argument(
        "--ca-file",
        metavar="FILE",
        help=f"the certificate authority to trust (default: ${CA_FILE_VARIABLE}, the lease file's)",
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Keep the job's file fresh until told to stop or until the job is over; raise what went wrong.

    Returns the exit code of the program, if one was given, else 0.
    """
    log = Log(SystemClock(), sys.stderr)
    if args.program:
        return _run_with_program(args, environ, log.say)
    # SIGTERM then ends the agent as ^C does, at once and with everything cleaned up on the way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _agent(args, environ, SystemClock(), log.say) as agent:
            if args.while_pid is not None:
                agent.job_runs = Watched(args.while_pid).is_running
            agent.run()
    except KeyboardInterrupt:
        log.say("told to stop", kept="the token file")
    return 0


def _run_with_program(
    args: argparse.Namespace, environ: Mapping[str, str], say: Callable[..., None]
) -> int:
    if args.while_pid is not None:
        raise Malformed(
            "With a program of its own the agent watches no other.", "Drop --while-pid."
        )
    program = Program(args.program, environ_of_program(environ, _token_path(args, environ)))
    program.take_signals()
    with _agent(args, environ, WakingClock(), say) as agent:
        return run_under(agent, program, say)


@contextlib.contextmanager
def _agent(
    args: argparse.Namespace,
    environ: Mapping[str, str],
    clock: SystemClock,
    say: Callable[..., None],
) -> Iterator[Agent]:
    path = _token_path(args, environ)
    lease = lease_file.read(Path(args.job))
    with contextlib.ExitStack() as held:
        if lease.starts is not None:
            held.enter_context(alone(Path(args.job), clock, say))
        yield Agent(
            source=_source(args, environ, lease, clock, say),
            lease=lease,
            path=path,
            clock=clock,
            entropy=SystemEntropy(),
            say=say,
        )


def _source(
    args: argparse.Namespace,
    environ: Mapping[str, str],
    lease: LeaseFile,
    clock: SystemClock,
    say: Callable[..., None],
) -> TokenSource:
    ca_file = args.ca_file or environ.get(CA_FILE_VARIABLE) or lease.ca_file
    entropy = SystemEntropy()
    door = Door(parse_address(lease.broker), clock, ca_file, ca_pem=lease.ca_pem)
    broker = Broker(door.send, clock, entropy, lease.lease_token)
    source: TokenSource = broker
    if lease.starts is not None:
        state = Path(args.state) if args.state else _own_path(args, "state")
        source = Chained(broker, Chain(lease.shown(), state.absolute(), entropy))
    folder = environ.get(FOLDER_VARIABLE)
    return BesideCondor(source, Path(folder), lease, say) if folder else source


def _token_path(args: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    named = args.token_file or environ.get(FILE_VARIABLE)
    if named:
        return Path(named).absolute()
    if args.program:
        return _own_path(args, "token").absolute()
    raise Malformed(
        "It is not said which file to keep fresh.", f"Give --token-file or set {FILE_VARIABLE}."
    )


def _own_path(args: argparse.Namespace, ending: str) -> Path:
    """Return the path of a file of the agent's own, in a folder that is there afterwards."""
    lease = Path(args.job)
    folder = lease.parent / OWN_FOLDER
    try:
        is_new = not folder.is_dir()
        folder.mkdir(mode=0o700, exist_ok=True)
        if is_new:
            folder.chmod(0o700)  # a umask may have taken our own bits away
    except OSError as failure:
        raise LocalFileUnfit(
            f"{folder} cannot be made: {failure.strerror}.",
            "Name other places with --state and --token-file.",
        ) from None
    return folder / f"{lease.name}.{ending}"
