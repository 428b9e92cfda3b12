"""`credbroker admin vault-setup`: makes what a broker needs in OpenBao/Vault, and says first what.

Without `--do` nothing is changed. With it, what is missing is made and what is behind is mended; what
somebody else made otherwise is named and left as it is. Doing it twice is as good as once. The token
it works under is in a file or in the environment, never on the command line, and goes no further.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from credbroker.admin.desk import Desk
from credbroker.admin.vault_login_files import LoginFiles
from credbroker.admin.vault_looking import Finding, Standing, look
from credbroker.building import open_door
from credbroker.config.load import DEFAULT_FOLDER, load, read_secret
from credbroker.config.schema import Settings
from credbroker.domain.errors import BadSettings, StoreMisconfigured
from credbroker.domain.secret import Secret
from credbroker.stores.broker_place import Place, broker_policy
from credbroker.stores.operator_vault import OperatorVault

_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")


@dataclass(frozen=True, slots=True)
class There:
    """Which OpenBao/Vault, and what the broker has in it."""

    addresses: list[str]
    ca_file: Path | None
    place: Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--do", action="store_true", help="carry it out; without this, only tell")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help="holds an administrator's token (default: $BAO_TOKEN, else $VAULT_TOKEN)",
    )  # fmt: skip
    parser.add_argument(
        "--login-to", type=Path, metavar="FOLDER",
        help="write role-id and secret-id there (0600), unless they are there and log in",
    )  # fmt: skip
    parser.add_argument(
        "--address", metavar="URL", help="of one that no settings here name; none are read then"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="with --address: whom to trust for it, PEM"
    )
    parser.add_argument(
        "--mount", default="credbroker", metavar="NAME",
        help="with --address: where the engine is mounted (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--print-policy", action="store_true", help="only print the broker's policy; ask nobody"
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
        help="the folder of settings, *.yaml in name order (default: %(default)s)",
    )  # fmt: skip


def set_up(args: argparse.Namespace, desk: Desk) -> None:
    """Do what was asked for; raise `Misconfigured` or `StoreUnavailable` kinds."""
    there = _there(args)
    if args.print_policy:
        desk.out.write(broker_policy(there.place.mount, there.place.transit))
        return
    asyncio.run(_set_up(args, there, _operators(args.token_file), desk))


def _there(args: argparse.Namespace) -> There:
    if args.address is not None:
        return There([args.address], args.ca_file, Place(args.mount))
    return there_of(load(args.config))


def there_of(settings: Settings) -> There:
    """Return what the settings say of the OpenBao/Vault and of the broker's own in it."""
    vault = settings.vault
    engines = {one.keys.transit for one in settings.communities.values() if one.keys.transit}
    place = Place(
        vault.mount, vault.approle.mount if vault.approle else None, tuple(sorted(engines))
    )
    return There(vault.addresses, vault.ca_file, place)


def _operators(file: Path | None) -> Secret:
    if file is not None:
        return read_secret(file, "operator's Vault token")
    for name in _VARIABLES:
        if said := os.environ.get(name):
            return Secret("operator's Vault token", said)
    raise BadSettings(
        "No token for OpenBao/Vault.",
        "Name a file that holds one with --token-file, or set BAO_TOKEN or VAULT_TOKEN.",
    )


async def _set_up(args: argparse.Namespace, there: There, token: Secret, desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(open_door(there.ca_file))
        vault = OperatorVault(door, there.addresses, token, clock=desk.clock, entropy=desk.entropy)
        found = await look(vault, there.place)
        files = _login_files(args.login_to, vault, there, desk)
        found += [await files.look()] if files is not None else []
        _tell(desk, found)
        if args.do:
            await _mend(vault, found, files)
        _conclude(desk, found, done=args.do)


def _login_files(
    folder: Path | None, vault: OperatorVault, there: There, desk: Desk
) -> LoginFiles | None:
    if folder is None:
        return None
    if there.place.approle is None:
        raise BadSettings(
            "The settings name no AppRole to log in by.", "Leave out --login-to, or name one."
        )
    return LoginFiles(folder, vault, there.place.approle, desk.entropy)


def _tell(desk: Desk, found: list[Finding]) -> None:
    for one in found:
        desk.answer(f"{one.standing.value:<10} {one.what}")
        for line in one.lines:
            desk.answer(f"{'':<10}   {line}")
    desk.out.flush()


async def _mend(vault: OperatorVault, found: list[Finding], files: LoginFiles | None) -> None:
    for one in found:
        if one.standing in {Standing.MISSING, Standing.BEHIND}:
            if one.mend is not None:
                await vault.post(one.mend.path, one.mend.body)
            elif files is not None:
                await files.write()


def _conclude(desk: Desk, found: list[Finding], *, done: bool) -> None:
    """Say in one line what became of it; raise if something was left for the operator."""
    to_do = sum(one.standing in {Standing.MISSING, Standing.BEHIND} for one in found)
    different = sum(one.standing is Standing.DIFFERENT for one in found)
    if done:
        desk.say(f"Done: {to_do} of {len(found)}." if to_do else "There was nothing to do.")
    elif to_do:
        desk.say(f"Nothing was changed. With --do, {to_do} of {len(found)} would be.")
    if different:
        raise StoreMisconfigured(
            f"What is called different above ({different}) was left as it is.",
            "Mend it by hand; --print-policy prints the broker's policy.",
        )
    if not done and not to_do:
        desk.say("There is nothing to do.")
