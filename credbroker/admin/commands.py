"""`credbroker admin`: what operators do beside `serve`, on a host where the settings lie."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from credbroker.admin.contain import Wanted, contain, lift, list_contained, rehearse
from credbroker.admin.desk import Desk, system_desk
from credbroker.admin.host_join import host_join
from credbroker.admin.legacy import count_legacy
from credbroker.admin.office import Office, open_office
from credbroker.admin.probe import Wished, probe
from credbroker.admin.release import release
from credbroker.admin.restored import restored
from credbroker.admin.vault_setup import add_arguments as add_vault_setup
from credbroker.admin.vault_setup import set_up
from credbroker.admin.withdraw_key import Withdrawal, rehearse_withdrawal, withdraw_key
from credbroker.cli.exits import FAILED
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.config.schema import Settings
from credbroker.domain.errors import Malformed
from credbroker.domain.revocations import Kind
from credbroker.host import hardening
from credbroker.telemetry.logging import configure

EXAMPLE = """\
examples:
  credbroker admin issuer probe cms
  credbroker admin issuer release cms --restore
  credbroker admin restored --without old-host
  credbroker admin contain person cms/ada --reason "ticket 4711"
  credbroker admin contain host 192.0.2.7 --yes
  credbroker admin contained
  credbroker admin withdraw-key --dry-run dteam NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
  credbroker admin host-join login1.example.org
  credbroker admin legacy --days 7
  credbroker admin vault-setup --token-file /run/vault-token
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below `credbroker admin`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    issuer = actions.add_parser("issuer", help="measure an issuer, or trust it again")
    _add_issuer_actions(
        issuer.add_subparsers(dest="issuer_action", required=True, metavar="ACTION")
    )
    after = actions.add_parser(
        "restored", help="go on after a restored snapshot; list who must log in"
    )
    after.add_argument(
        "--without", metavar="REPLICA", action="append", default=[],
        help="a replica that is gone for good and will never sort; may be given again",
    )  # fmt: skip
    after.add_argument("--json", action="store_true", help="print the list as JSON")
    _add_config(after)
    before = actions.add_parser("legacy", help="count who still comes by an earlier HTVault")
    before.add_argument(
        "--days", type=int, default=14, metavar="N",
        help="look at so many days, today among them (default: %(default)s)",
    )  # fmt: skip
    before.add_argument(
        "--trail", type=Path, metavar="FOLDER", action="append", default=[],
        help="where audit files lie, if elsewhere than the settings say; may be given again",
    )  # fmt: skip
    _add_config(before)
    _add_contain(actions)
    _add_withdraw_key(actions)
    add_vault_setup(
        actions.add_parser("vault-setup", help="make what the broker needs in OpenBao/Vault")
    )
    host = actions.add_parser("host-join", help="print a token by which one host joins")
    host.add_argument("name", metavar="NAME", help="the host's full name, as login1.example.org")
    _add_config(host)


def _add_issuer_actions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    measure = actions.add_parser(
        "probe", help="measure what a lost answer means, with a throw-away login"
    )
    measure.add_argument("name", metavar="NAME", help="the issuer's name in the settings")
    measure.add_argument("--role", metavar="ROLE", help="the role (default: the issuer's first)")
    measure.add_argument(
        "--keep", action="store_true",
        help="if the login is lost over it, make a second one, to be tried first in trouble",
    )  # fmt: skip
    _add_config(measure)
    trust = actions.add_parser("release", help="take the brake off and give its logins back")
    trust.add_argument("name", metavar="NAME", help="the issuer's name in the settings")
    trust.add_argument(
        "--restore", action="store_true",
        help="also give back logins lost since 10 minutes before the brake came on",
    )  # fmt: skip
    _add_config(trust)


def _add_contain(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ending = actions.add_parser("contain", help="end what somebody may have stolen")
    ending.add_argument("kind", choices=[kind.value for kind in Kind])
    ending.add_argument(
        "name", metavar="NAME",
        help="a lease's id, ISSUER/IDENTITY-KEY, a job's name, a host's name or address, an issuer's name,"
        " COMMUNITY/CLIENT-ID, or a token's jti; one that begins with a dash comes last, behind --",
    )  # fmt: skip
    moment = ending.add_mutually_exclusive_group()
    moment.add_argument(
        "--until", metavar="TIME",
        help="end what was made before this UTC time, such as 2026-03-01T12:00:00Z (default: now,"
        " and a minute more for clocks that are ahead)",
    )  # fmt: skip
    moment.add_argument("--lift", action="store_true", help="let those leases count again")
    asking = ending.add_mutually_exclusive_group()
    asking.add_argument("--dry-run", action="store_true", help="only tell what would be ended")
    asking.add_argument(
        "--yes", action="store_true",
        help="do it at once (default: tell what would be ended, and ask)",
    )  # fmt: skip
    ending.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")
    _add_config(ending)
    _add_config(actions.add_parser("contained", help="print what is contained now"))


def _add_withdraw_key(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ending = actions.add_parser("withdraw-key", help="end a community's key that may be stolen")
    ending.add_argument("community", metavar="COMMUNITY", help="its name in the settings")
    ending.add_argument(
        "key_id", metavar="KID",
        help="as in the header of its tokens; one that begins with a dash comes last, behind --",
    )  # fmt: skip
    ending.add_argument(
        "--dry-run",
        action="store_true",
        help="only tell what the key does and what would sign then",
    )
    ending.add_argument("--reason", metavar="TEXT", default="", help="why, for the audit trail")
    _add_config(ending)


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Do what was asked for; raise what went wrong. 1 is for an operator who was asked, and said no."""
    hardening.forbid_core_dumps()
    configure("error")
    desk = desk or system_desk()
    if args.action == "vault-setup":
        set_up(args, desk)
        return 0
    settings = load(args.config)
    if args.action == "legacy":
        count_legacy(settings, desk, args.trail, args.days)
    elif args.action == "contain" and not _is_agreed(args, settings, desk):
        desk.say("Nothing was contained.")
        return FAILED
    else:
        asyncio.run(_run(args, settings, desk))
    return 0


def _is_agreed(args: argparse.Namespace, settings: Settings, desk: Desk) -> bool:
    """Return whether to go on with what `contain` was called for, after a rehearsal if need be.

    The operator is asked where nothing else runs, so that ^C ends the command. Raises `Malformed` if
    there is nobody to ask, and as the rehearsal does.
    """
    if args.lift and args.dry_run:
        raise Malformed("What --lift does is not rehearsed.", "Leave out --dry-run.")
    if args.lift or args.dry_run or args.yes:
        return True
    if not desk.can_ask():
        raise Malformed(
            "Nobody can be asked here whether to contain that.",
            "Give --dry-run to see what would be ended, and --yes to end it.",
        )
    asyncio.run(_run(argparse.Namespace(**{**vars(args), "dry_run": True}), settings, desk))
    return desk.says_yes("Contain it? [y/N] ")


async def _run(args: argparse.Namespace, settings: Settings, desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        office = await open_office(settings, desk, stack)
        if args.action == "restored":
            await restored(office, args.without, as_json=args.json)
        elif args.action == "contained":
            await list_contained(office)
        elif args.action == "contain":
            await _contain(args, office)
        elif args.action == "withdraw-key":
            wanted = Withdrawal(args.community, args.key_id, args.reason)
            await (rehearse_withdrawal if args.dry_run else withdraw_key)(office, wanted)
        elif args.action == "host-join":
            await host_join(office, args.name)
        elif args.issuer_action == "release":
            await release(office, args.name, restore=args.restore)
        else:
            await probe(office, Wished(args.name, args.role, args.keep))


async def _contain(args: argparse.Namespace, office: Office) -> None:
    wanted = Wanted(Kind(args.kind), args.name, args.until, args.reason)
    if args.dry_run:
        await rehearse(office, wanted)
    elif args.lift:
        await lift(office, wanted)
    else:
        await contain(office, wanted)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
        help="the folder of settings, *.yaml in name order (default: %(default)s)",
    )  # fmt: skip
