"""`credbroker job`: makes a job's own narrow lease, and ends it.

The lease file goes with the job; whoever holds it can fetch the job's tokens and nothing more,
until the job's time is over or somebody ends it. It takes along the certificate authorities that
were named, since their file need not be there where the job runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from credbroker.cli.choice import (
    add_ca_argument,
    add_login_arguments,
    choose_audiences,
    choose_ca_file,
    choose_login,
    choose_scopes,
)
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import parse_duration
from credbroker.delivery import ca_file, lease_file, whole_file
from credbroker.delivery.lease_file import LeaseFile, naming_the_login
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, LocalFileUnfit
from credbroker.wire.native import AskLease

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk

EXAMPLE = """\
example:
  credbroker job new cms --job run42 --for 12h --out run42.json \\
      --scope storage.read:/store --audience https://dav.example.org
  credbroker job end run42.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker job`."""
    deeds = parser.add_subparsers(dest="deed", metavar="new|end", required=True)
    new = deeds.add_parser("new", help="make a lease file for a job")
    add_login_arguments(new)
    new.add_argument("--job", metavar="NAME", required=True, help="the job's name, for the trail")
    new.add_argument("--scope", metavar="S", action="append", required=True, help="repeatable")
    new.add_argument("--audience", metavar="A", action="append", required=True, help="repeatable")
    new.add_argument(
        "--for",
        dest="lifetime",
        metavar="TIME",
        type=parse_duration,
        required=True,
        help="how long the lease lasts: seconds, or as in 12h; never longer than the login",
    )
    new.add_argument("--out", metavar="FILE", required=True, help="the lease file to write")
    end = deeds.add_parser("end", help="end a job's lease and remove its file")
    end.add_argument("file", metavar="FILE", help="the job's lease file")
    add_ca_argument(end)


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Make or end a job's lease; raise what went wrong."""
    desk = desk or system_desk()
    return _new(args, desk) if args.deed == "new" else _end(args, desk)


def _new(args: argparse.Namespace, desk: Desk) -> int:
    out = Path(args.out)
    if out.exists():
        raise LocalFileUnfit(
            f"{out} is there already, and may be the only way to end an older lease.",
            f"End that with: credbroker job end {out}; or give another --out.",
        )
    _, login = choose_login(args.issuer, args.role, desk.environ)
    trusted = choose_ca_file(args, desk.environ) or login.ca_file
    # Read first: a lease must not be made that then cannot be written down.
    ca_pem = ca_file.read(trusted) if trusted else None
    scopes, audiences = choose_scopes(args.scope) or [], choose_audiences(args.audience) or []
    wanted = AskLease(args.job, scopes, audiences, args.lifetime)
    broker = desk.broker_of(login, trusted)
    with naming_the_login(login):
        given = broker.ask_lease(wanted)
    lease = LeaseFile(
        broker=login.broker,
        lease_token=given.lease_token,
        issuer=login.issuer,
        issuer_url=login.issuer_url,
        role=login.role,
        credkey=login.credkey,
        scopes=scopes,
        audiences=audiences,
        lease_ends_at=given.ends_at,
        job=given.job,
        ca_pem=ca_pem,
    )
    try:
        lease_file.write(out, lease, desk.entropy)
    except LocalFileUnfit:
        broker.under(given.lease_token).end_lease()  # nobody could use it, nor end it later
        raise
    desk.answer(args.out)
    desk.say(plain(f"The lease of job {given.job} lasts until {at_minute(given.ends_at)}."))
    return 0


def _end(args: argparse.Namespace, desk: Desk) -> int:
    path = Path(args.file)
    lease = lease_file.read(path)
    if lease.job is None:
        raise LocalFileUnfit(
            f"{path} is the lease of a login, not of a job.",
            f"Log out with: credbroker logout {lease.issuer} --role {lease.role}",
        )
    try:
        desk.broker_of(lease, choose_ca_file(args, desk.environ)).end_lease()
        desk.say(plain(f"The lease of job {lease.job} is ended."))
    except (LeaseEnded, LeaseUnknown):
        desk.say(plain(f"The lease of job {lease.job} had ended already."))
    whole_file.remove(path)
    return 0
