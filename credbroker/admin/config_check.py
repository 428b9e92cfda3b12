"""`credbroker config`: are the settings right? `check` says so, or names file and key.

`show` says which are in force and who says so; `example` writes all that there are. Of a check first what is on this host: settings, secrets, certificates, the rules about people's rights. Then OpenBao/Vault is asked if there
are logins that these settings would leave behind; that it cannot be reached is no fault of theirs.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from credbroker.admin import config_example, import_htvault
from credbroker.admin.config_show import show
from credbroker.admin.desk import Desk, system_desk
from credbroker.admin.orphans import Orphans, find_orphans
from credbroker.building import open_door, open_vault, server_tls
from credbroker.config.load import DEFAULT_FOLDER, load, read_secret, secret_files
from credbroker.config.rights import read_rights
from credbroker.config.schema import Settings
from credbroker.domain.errors import StoreUnavailable
from credbroker.stores.records import grant_records
from credbroker.telemetry.logging import configure

EXAMPLE = """\
examples:
  credbroker config check /etc/credbroker/config.d
  credbroker config show --effective
  credbroker config example > settings.yaml
  credbroker config import-htvault /etc/htvault-config/config.d --out htvault.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="look at the settings and at what they name")
    check.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    check.add_argument(
        "--offline", action="store_true", help="do not ask OpenBao/Vault which logins there are"
    )
    check.add_argument(
        "--accept-orphans", action="store_true",
        help="logins that these settings leave behind are no fault: their people log in again",
    )  # fmt: skip
    shows = actions.add_parser("show", help="print the settings, and where each is written")
    shows.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    shows.add_argument("--effective", action="store_true", help="those left at their default, too")
    shows.add_argument("--json", action="store_true", help="as a list of objects")
    actions.add_parser("example", help="write all settings with their defaults and meanings")
    import_htvault.add_arguments(
        actions.add_parser("import-htvault", help="make settings from those of an HTVault")
    )


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Do what was asked for; return the exit code, or raise `Misconfigured` kinds."""
    desk = desk or system_desk()
    configure("error")
    if args.action == "import-htvault":
        return import_htvault.import_htvault(args, desk)
    if args.action == "show":
        return show(args.folder, desk, effective=args.effective, as_json=args.json)
    if args.action == "example":
        for line in config_example.text().splitlines():
            desk.answer(line)
        return 0
    return _check(args, desk)


def _check(args: argparse.Namespace, desk: Desk) -> int:
    """Check the folder; print what was looked at."""
    settings = load(args.folder)
    _check_files(settings)
    for name, issuer in settings.issuers.items():
        if issuer.confirm == "device":
            desk.say(
                f"{name}: with `confirm: device`, whoever starts a login can confirm it himself and"
                " hand the issuer's link to somebody else. Set `page` once the issuer knows the"
                " broker's redirect."
            )
    count = len(settings.issuers)
    right = f"{args.folder}: the settings are right ({count} issuer{'s' * (count != 1)})"
    if args.offline:
        desk.answer(f"{right}. OpenBao/Vault was not asked.")
        return 0
    try:
        orphans = asyncio.run(_orphans(settings, desk))
    except StoreUnavailable as error:
        desk.answer(
            f"{right}. {error.sentence} So it is not known if they would leave logins behind."
        )
        return 0
    if orphans and not args.accept_orphans:
        raise orphans.error(settings.issuers)
    desk.answer(f"{right}{_about(orphans)}.")
    return 0


def _check_files(settings: Settings) -> None:
    for kind, file in secret_files(settings):
        read_secret(file, kind)
    for community in settings.communities.values():
        if community.rights_folder is not None:
            read_rights(community.rights_folder)
    server_tls(settings.listen, settings.hosts)
    issuers = settings.issuers.values()
    former = [one.legacy.ca_file for one in issuers if one.legacy is not None]
    told = [one.ca_file for one in (settings.notify.mail, settings.notify.webhook) if one]
    for ca_file in (settings.vault.ca_file, *(one.ca_file for one in issuers), *former, *told):
        open_door(ca_file)


async def _orphans(settings: Settings, desk: Desk) -> Orphans:
    async with AsyncExitStack() as stack:
        vault = await open_vault(settings.vault, desk.clock, desk.entropy, stack)
        grants = grant_records(vault, settings.vault.mount)
        return await find_orphans(grants, settings.issuers)


def _about(orphans: Orphans) -> str:
    left = orphans.count.total()
    about = f", and of {orphans.looked_at} logins they leave {left or 'none'} behind"
    if orphans.damaged:
        about += f"; {orphans.damaged} cannot be read, whose people must log in again"
    return about
