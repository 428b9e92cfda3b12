"""`credbroker credmon`: keeps the tokens of HTCondor's jobs fresh, in place of its own credmons."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker import __version__
from credbroker.client.batches import Batches
from credbroker.delivery import lease_file
from credbroker.domain.errors import BadSettings, CredbrokerError, LocalFileUnfit
from credbroker.edge.asking import BrokerAsker
from credbroker.edge.condor import listing
from credbroker.edge.condor.askers import Askers, Doors
from credbroker.edge.condor.config_val import ask_condor
from credbroker.edge.condor.credmon import Credmon
from credbroker.edge.condor.duties import Duties
from credbroker.edge.condor.folder import Folder
from credbroker.edge.condor.log import Log
from credbroker.edge.condor.names import split_names
from credbroker.edge.condor.settings import Settings, read_settings
from credbroker.edge.condor.source import CondorSource, Say
from credbroker.edge.condor.wake import Wake
from credbroker.edge.condor.wanted import Reader, Standing
from credbroker.edge.engine import Engine
from credbroker.edge.writing import Writing
from credbroker.host import open_files
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.hardening import forbid_core_dumps

if TYPE_CHECKING:
    import argparse

NEVER_AGAIN = 99
"""The exit code after which condor_master does not start a daemon again: only settings mend it."""
CANNOT_LOG = 44
"""The exit code by which condor_master knows that a daemon has no log."""
_FAILED = 1

EXAMPLE = """\
in HTCondor's configuration, where condor_master starts it:
  CREDMON_OAUTH = /usr/bin/credbroker
  CREDMON_OAUTH_ARGS = credmon

how every credential stands, with exit code 0, 1, 2 or 3 for a monitoring system:
  credbroker credmon --list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: those of HTCondor's credmons, and ours."""
    parser.add_argument(
        "-n", "--name", default="CREDMON_OAUTH", help="the daemon's name (default: %(default)s)"
    )
    parser.add_argument(
        "-c",
        "--cred-dir",
        metavar="FOLDER",
        type=Path,
        help="the folder of credentials (default: SEC_CREDENTIAL_DIRECTORY_OAUTH)",
    )
    parser.add_argument(
        "-l",
        "--log-file",
        metavar="FILE",
        type=Path,
        help="the log (default: the setting NAME_LOG; else standard error)",
    )
    parser.add_argument("-d", dest="debug", action="store_true", help="the same as --debug")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="write the log to standard error as well"
    )
    parser.add_argument(
        "--alongside",
        action="store_true",
        help="work beside another credmon: leave the pid file and CREDMON_COMPLETE to it",
    )
    parser.add_argument(
        "--providers",
        metavar="A,B",
        type=split_names,
        help="serve these providers alone (needed with --alongside)",
    )
    parser.add_argument(
        "--list", action="store_true", help="show how every credential stands, and end"
    )
    parser.add_argument("--json", action="store_true", help="with --list: as JSON")


def run(args: argparse.Namespace) -> int:
    """Run until told to stop, or show how the credentials stand.

    Returns 99 if the settings must be mended first, 44 if there is no log, 1 for another failure.
    """
    if args.list:
        return _list(args)
    try:
        settings = _settings(args)
    except BadSettings as error:
        return _ended(args.log_file, error, NEVER_AGAIN)
    except CredbrokerError as error:
        return _ended(args.log_file, error, _FAILED)
    try:
        log = Log(SystemClock(), settings.log_file, to_stderr=args.verbose)
    except LocalFileUnfit as error:
        return _ended(None, error, CANNOT_LOG)
    forbid_core_dumps()
    open_files.allow_many()
    try:
        asyncio.run(_run(args, settings, log))
    except CredbrokerError as error:
        log.say("ended", why=error.sentence, do=error.remedy)
        return _FAILED
    except Exception as fault:
        log.say("ended by something that nobody foresaw", what=type(fault).__name__)
        raise
    finally:
        log.close()
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    if args.alongside and not args.providers:
        raise BadSettings(
            "With --alongside it must be said which providers are served here and not beside.",
            "Name them with --providers, and leave them out of the other credmon's list.",
        )
    name = args.name.upper()
    try:
        said = ask_condor(name)
    except BadSettings:
        if args.cred_dir is None:
            raise
        said = {}  # there is no HTCondor here to ask, and all that is needed is said
    return read_settings(
        said, name=name, folder=args.cred_dir, log_file=args.log_file, only=args.providers
    )


async def _run(args: argparse.Namespace, settings: Settings, log: Log) -> None:
    clock, entropy, wake = SystemClock(), SystemEntropy(), Wake()
    folder = Folder(settings.folder)
    reader = Reader(folder, settings, _standing(settings, log.say))
    source = CondorSource(reader, wake, clock, log.say)
    askers = Askers(
        _doors(settings),
        lambda door: BrokerAsker(Batches(door.send, clock, entropy)),
        clock,
        entropy,
    )

    async def reconfigure() -> None:
        again = await asyncio.to_thread(_settings, args)
        log.reopen(again.log_file)
        await askers.open_by(_doors(again))
        source.read_by(Reader(folder, again, _standing(again, log.say)))

    writing = Writing(entropy)
    credmon = Credmon(
        folder=folder,
        duties=Duties(folder, entropy, args.alongside),
        source=source,
        engine=Engine(source, askers.of, writing, clock, entropy),
        wake=wake,
        clock=clock,
        say=log.say,
        reconfigure=reconfigure,
    )
    log.say("started", version=__version__, folder=settings.folder, pid=os.getpid())
    try:
        await credmon.run()
    finally:
        writing.close()
        folder.close()


def _doors(settings: Settings) -> Doors:
    ca_file, ca_folder = settings.ca_file, settings.ca_folder
    return Doors(
        None if ca_file is None else str(ca_file), None if ca_folder is None else str(ca_folder)
    )


def _standing(settings: Settings, say: Say) -> Standing | None:
    if settings.local is None:
        return None
    try:
        lease = lease_file.read(settings.local.lease_file)
    except CredbrokerError as error:
        say("no local tokens can be had", why=error.sentence, do=error.remedy)
        return None
    return Standing(lease.broker, lease.lease_token, settings.local)


def _list(args: argparse.Namespace) -> int:
    now = SystemClock().now()
    try:
        settings = _settings(args)
        folder = Folder(settings.folder)
        try:
            standing = _standing(settings, lambda _, **__: None)  # each name shows what is missing
            shown = listing.look(Reader(folder, settings, standing), now)
        finally:
            folder.close()
    except CredbrokerError as error:
        sys.stderr.write(f"credbroker: {error.sentence} {error.remedy}\n")
        return listing.Verdict.UNKNOWN
    write = listing.as_json if args.json else listing.as_text
    sys.stdout.write(write(shown, now))
    return listing.worst(shown)


def _ended(log_file: Path | None, error: CredbrokerError, code: int) -> int:
    """Say why it ends wherever it can be said: condor_master gives its daemons no streams."""
    try:
        log = Log(SystemClock(), log_file, to_stderr=True)
    except LocalFileUnfit:
        log = Log(SystemClock(), None)
    log.say("ended", why=error.sentence, do=error.remedy, exit_code=code)
    log.close()
    return code
