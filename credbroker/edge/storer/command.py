"""`credbroker condor-storer`: what `condor_submit` runs as its SEC_CREDENTIAL_STORER.

It ends with 0 only if a job that is queued now finds its tokens. Each other exit code says whose
turn it is, as everywhere in credbroker; `condor_submit` then queues nothing.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path

from credbroker.cli.choice import ADDRESS_VARIABLE, add_ca_argument, choose_address, choose_ca_file
from credbroker.cli.desk import Desk, system_desk
from credbroker.cli.durations import parse_duration
from credbroker.domain.errors import CredbrokerError, Malformed
from credbroker.edge.storer import storages
from credbroker.edge.storer.asked import Asked, by_service, parse
from credbroker.edge.storer.checking import check
from credbroker.edge.storer.logins import Logins, is_attended
from credbroker.edge.storer.submitting import Submit, warn_of_unused
from credbroker.edge.storer.tools import CondorCredd, config_value, least_seconds

EXAMPLE = """\
exit codes: 0 in place, 1 HTCondor's credd or credmon did not do its part, 2 wrong usage or spelling,
3 not reachable now, 4 log in, 5 refused, 6 the login ends before the job may

example, as condor_submit runs it and as you may try it out:
  credbroker condor-storer 'cms&handle=ro&scopes=storage.read:/store&audience=https://dav.example.org'
  credbroker condor-storer --check cms --for 12h
"""

MODE_VARIABLE = "CONDOR_CREDENTIAL_STORER_MODE"
_OPTIONS = ("SEC_CREDENTIAL_VAULT_STORER_OPTS", "SEC_CREDENTIAL_GETTOKEN_OPTS")
_HTGETTOKEN = "HTGETTOKENOPTS"
_USUAL_PORT = 8200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker condor-storer`."""
    parser.add_argument(
        "requests",
        metavar="SERVICE[&handle=H][&scopes=A,B][&audience=X][&options=for=TIME]",
        nargs="+",
        help="what a job needs, as condor_submit writes it; quote it for a shell",
    )
    parser.add_argument(
        "--check", action="store_true", help="only say whether a submit would go through"
    )
    parser.add_argument("--json", action="store_true", help="with --check: print a JSON list")
    parser.add_argument(
        "--for",
        dest="stated",
        metavar="TIME",
        type=parse_duration,
        help="how long jobs may wait and run: seconds, or as in 12h",
    )
    parser.add_argument(
        "--broker",
        metavar="URL",
        help=f"where to log in (default: ${ADDRESS_VARIABLE}, then -a in HTCondor's {_OPTIONS[1]})",
    )
    add_ca_argument(parser)
    parser.add_argument(
        "--credd",
        metavar="HOST",
        action="append",
        help="store there; repeat it (default: HTCondor's)",
    )
    parser.add_argument(
        "--storage-folder",
        metavar="FOLDER",
        type=Path,
        default=storages.DEFAULT_FOLDER,
        help=f"spellings of storages (default: {storages.DEFAULT_FOLDER})",
    )
    parser.add_argument("-v", "-d", dest="verbose", action="store_true", help="say what is done")


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Have everything in place for a submit, or say whether it would be; raise what went wrong."""
    desk = desk or system_desk()
    try:
        return _run(args, desk)
    except CredbrokerError:
        if desk.err.isatty():
            desk.say("")  # condor_submit has left its own line open
        raise


def _run(args: argparse.Namespace, desk: Desk) -> int:
    if desk.environ.get(MODE_VARIABLE, "vault") != "vault":
        raise Malformed("This storer serves what HTCondor calls vault, and nothing else.")
    requests = [parse(one) for one in args.requests]
    submit = _submit(args, desk)
    if args.check:
        return check(submit, requests, args.stated, as_json=args.json)
    warn_of_unused(requests, desk)
    for service, wanted in by_service(requests).items():
        submit.serve(service, wanted, _longest(args.stated, wanted))
    return 0


def _submit(args: argparse.Namespace, desk: Desk) -> Submit:
    ca_file = choose_ca_file(args, desk.environ)
    attended = is_attended(desk.environ, desk.err) and not args.check
    return Submit(
        desk=desk,
        logins=Logins(
            desk, address=lambda: _address(args, desk.environ), ca_file=ca_file, attended=attended
        ),
        credds=[CondorCredd(desk.environ, host) for host in args.credd or [None]],
        storages=storages.read(args.storage_folder),
        ca_file=ca_file,
        least_seconds=lambda: least_seconds(desk.environ),
        tell=desk.say if args.verbose else _say_nothing,
    )


def _say_nothing(_: str) -> None:
    """Keep quiet."""


def _longest(stated: int | None, requests: list[Asked]) -> int | None:
    all_stated = [stated, *(one.stated_seconds for one in requests)]
    return max((one for one in all_stated if one is not None), default=None)


def _address(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    said = args.broker or environ.get(ADDRESS_VARIABLE) or _configured(environ)
    return choose_address(said, environ)


def _configured(environ: Mapping[str, str]) -> str | None:
    """Return the broker that the settings for htgettoken name, as HTCondor's or a person's."""
    options = [config_value(name, environ) for name in _OPTIONS]
    for text in (*options, environ.get(_HTGETTOKEN)):
        if host := _server_in(text or ""):
            host = host if "://" in host else f"https://{host}"
            return host if ":" in host.partition("://")[2] else f"{host}:{_USUAL_PORT}"
    return None


def _server_in(options: str) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-a", "--vaultserver")
    try:
        found: str | None = parser.parse_known_args(shlex.split(options))[0].vaultserver
    except (ValueError, argparse.ArgumentError):
        return None
    return found
