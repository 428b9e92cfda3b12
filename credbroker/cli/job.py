"""`credbroker job`: makes a job's own narrow lease, shows where it was used, and ends it.

The lease file goes with the job; whoever holds it can fetch the job's tokens and nothing more,
until the job's time is over or somebody ends it. Its secret is used once at each start of the job, so
that a copy is noticed; where a program reads the file that knows nothing of that, `--plain` makes one
whose secret lasts. It takes along the certificate authorities that were named, since their file need
not be there where the job runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional, Tuple

from credbroker.cli.choice import (
    add_ca_argument,
    add_login_arguments,
    choose_audiences,
    choose_ca_file,
    choose_login,
    choose_scopes,
)
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import parse_duration, spoken
from credbroker.delivery import ca_file, lease_file, whole_file
from credbroker.delivery.lease_file import LeaseFile, naming_the_login
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, LocalFileUnfit, Malformed
from credbroker.domain.starts import MOST_STARTS, USUAL_STARTS
from credbroker.wire.fields import write_instant
from credbroker.wire.native import AskLease

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk

EXAMPLE = """\
example:
  credbroker job new cms --job run42 --queue 2d --run 12h --out run42.json \\
      --scope storage.read:/store --audience https://dav.example.org
  credbroker job show run42.json
  credbroker job end run42.json
"""

_LEAST_SHORT_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker job`."""
    deeds = parser.add_subparsers(dest="deed", metavar="new|show|end", required=True)
    _add_new_arguments(deeds.add_parser("new", help="make a lease file for a job"))
    for deed, words in (
        ("show", "tell how a job's lease stands, and when and where the job was started"),
        ("end", "end a job's lease and remove its file"),
    ):
        known = deeds.add_parser(deed, help=words)
        known.add_argument("file", metavar="FILE", help="the job's lease file")
        known.add_argument("--json", action="store_true", help="print what is told as JSON")
        add_ca_argument(known)


def _add_new_arguments(new: argparse.ArgumentParser) -> None:
    add_login_arguments(new)
    new.add_argument("--job", metavar="NAME", required=True, help="the job's name, for the trail")
    new.add_argument("--scope", metavar="S", action="append", required=True, help="repeatable")
    new.add_argument("--audience", metavar="A", action="append", required=True, help="repeatable")
    for option, name, words in (
        ("--for", "lifetime", "how long the lease lasts: seconds, or as in 12h"),
        ("--queue", "queue", "in place of --for: how long the job may wait for its turn,"),
        ("--run", "run_time", "and how long it may then run"),
    ):
        new.add_argument(option, dest=name, metavar="TIME", type=parse_duration, help=words)
    secrets = new.add_mutually_exclusive_group()
    secrets.add_argument(
        "--starts",
        metavar="N",
        type=int,
        default=USUAL_STARTS,
        help=f"how often the job may be started with this file, up to {MOST_STARTS}"
        " (default: %(default)s)",
    )
    secrets.add_argument(
        "--plain",
        action="store_true",
        help="give it one secret that lasts, for programs other than credbroker agent",
    )
    new.add_argument("--out", metavar="FILE", required=True, help="the lease file to write")
    new.add_argument(
        "--json", action="store_true", help="print the lease, without its secret, as JSON"
    )


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Make, show or end a job's lease; raise what went wrong."""
    desk = desk or system_desk()
    return {"new": _new, "show": _show, "end": _end}[args.deed](args, desk)


def _new(args: argparse.Namespace, desk: Desk) -> int:
    out = Path(args.out)
    if out.exists():
        raise LocalFileUnfit(
            f"{out} is there already, and may be the only way to end an older lease.",
            f"End that with: credbroker job end {out}; or give another --out.",
        )
    seconds = _lifetime(args)
    _, login = choose_login(args.issuer, args.role, desk.environ)
    trusted = choose_ca_file(args, desk.environ) or login.ca_file
    # Read first: a lease must not be made that then cannot be written down.
    ca_pem = ca_file.read(trusted) if trusted else None
    scopes, audiences = choose_scopes(args.scope) or [], choose_audiences(args.audience) or []
    starts = None if args.plain else args.starts
    wanted = AskLease(args.job, scopes, audiences, seconds, starts)
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
        starts=starts,
    )
    try:
        lease_file.write(out, lease, desk.entropy)
    except LocalFileUnfit:
        broker.under(given.lease_token).end_lease()  # nobody could use it, nor end it later
        raise
    desk.answer(json.dumps(_as_fields(args.out, lease)) if args.json else args.out)
    desk.say(plain(f"The lease of job {given.job} lasts until {at_minute(given.ends_at)}."))
    short = seconds - (given.ends_at - broker.now()).total_seconds()
    if short >= _LEAST_SHORT_SECONDS:
        desk.say(
            f"That is {spoken(short)} less than was asked for: a lease ends with its login, and after"
            f" the longest time that this broker gives a job. Log in anew with: {login.login_command}"
        )
    return 0


def _as_fields(path: str, lease: LeaseFile) -> Dict[str, object]:
    """Return what a lease file says, without what bears it."""
    return {
        "file": path,
        "job": lease.job,
        "issuer": lease.issuer,
        "role": lease.role,
        "scope": " ".join(lease.scopes),
        "audience": lease.audiences,
        "lease_ends_at": write_instant(lease.lease_ends_at),
        "most_starts": lease.starts,
    }


def _lifetime(args: argparse.Namespace) -> int:
    """Return how many seconds the lease should last; raise `Malformed` if that is not said in one way."""
    total = (args.lifetime, args.queue, args.run_time)
    if None not in total[1:] and args.lifetime is None:
        return int(args.queue + args.run_time)
    if args.lifetime is not None and total[1:] == (None, None):
        return int(args.lifetime)
    raise Malformed(
        "It must be said how long the lease lasts, in one way.",
        "Give --for; or --queue and --run together.",
    )


def _show(args: argparse.Namespace, desk: Desk) -> int:
    _, lease = _job_lease(args)
    with naming_the_login(lease):
        status = desk.broker_of(lease, choose_ca_file(args, desk.environ)).lease_status()
    if args.json:
        fields = json.loads(status.write())
        fields["scope"] = " ".join(fields.pop("scopes"))
        desk.answer(json.dumps(fields))
        return 0
    ends = at_minute(status.lease_ends_at)
    desk.answer(
        plain(f"Job {lease.job}: the lease lasts until {ends}; its login is {status.grant_state}.")
    )
    if status.starts is None:
        desk.answer("Its secret lasts as long: where it is used is in the broker's audit trail.")
        return 0
    desk.answer(f"Started {len(status.starts)} times, of {status.most_starts} at the most:")
    for start in status.starts:
        desk.answer(plain(f"  {start.at:%Y-%m-%d %H:%M:%S} UTC  from {start.address}"))
    return 0


def _job_lease(args: argparse.Namespace) -> Tuple[Path, LeaseFile]:
    path = Path(args.file)
    lease = lease_file.read(path)
    if lease.job is None:
        raise LocalFileUnfit(
            f"{path} is the lease of a login, not of a job.",
            f"Log out with: credbroker logout {lease.issuer} --role {lease.role}",
        )
    return path, lease


def _end(args: argparse.Namespace, desk: Desk) -> int:
    path, lease = _job_lease(args)
    try:
        desk.broker_of(lease, choose_ca_file(args, desk.environ)).end_lease()
        desk.say(plain(f"The lease of job {lease.job} is ended."))
    except (LeaseEnded, LeaseUnknown):
        desk.say(plain(f"The lease of job {lease.job} had ended already."))
    whole_file.remove(path)
    if args.json:
        desk.answer(json.dumps({"job": lease.job, "ended": True}))
    return 0
