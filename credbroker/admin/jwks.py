"""`credbroker jwks`: writes what the communities' issuers publish as files, for a host of their own.

Relying parties that find discovery document and keys on a static web server need no broker to check a
token. `export` writes `COMMUNITY/jwks` and `COMMUNITY/.well-known/...`, each as a whole; run it once an
hour, so that new keys are out long before they sign.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from credbroker.admin.desk import Desk, system_desk
from credbroker.broker.custody.replicas import name_segment
from credbroker.building import open_vault
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.config.schema import Settings
from credbroker.delivery.whole_file import replace
from credbroker.domain.errors import KeysMissing, LocalFileUnfit, NotFound
from credbroker.domain.signing_keys import SigningKeys, published
from credbroker.ports import RecordStore
from credbroker.stores.records import signing_key_records
from credbroker.telemetry.logging import configure
from credbroker.wire.issuer_documents import (
    DISCOVERY_PATH,
    JWKS_PATH,
    METADATA_PATH,
    discovery,
    key_set,
)

EXAMPLE = """\
example:
  credbroker jwks export --config /etc/credbroker/config.d --to /var/www/tokens
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser("export", help="write discovery documents and public keys as files")
    one.add_argument("--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
                     help="the broker's settings (default: %(default)s)")  # fmt: skip
    one.add_argument("--to", type=Path, required=True, metavar="FOLDER",
                     help="where a folder for each community is to be")  # fmt: skip


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Do what was asked for; return the exit code, or raise `CredbrokerError` kinds."""
    configure("error")
    asyncio.run(_run(load(args.config), args.to, desk or system_desk()))
    return 0


async def _run(settings: Settings, folder: Path, desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        vault = await open_vault(settings.vault, desk.clock, desk.entropy, stack)
        await export(settings, signing_key_records(vault, settings.vault.mount), folder, desk)


async def export(
    settings: Settings, records: RecordStore[SigningKeys], folder: Path, desk: Desk
) -> None:
    """Write the documents of every community of the settings below `folder`.

    Raises `NotFound` if there is no community, `KeysMissing` for one without keys, `LocalFileUnfit`,
    and `StoreUnavailable` kinds.
    """
    if not settings.communities:
        raise NotFound("The settings name no community.", "Name one below `communities`.")
    for name, community in settings.communities.items():
        stored = await records.get(name_segment(name))
        keys = published(stored.value.keys, desk.clock.now()) if stored is not None else ()
        if not keys:
            raise KeysMissing(
                f"The community {name} has no keys yet.", "They are made when a broker starts."
            )
        document = json.dumps(discovery(community.url), indent=2).encode() + b"\n"
        # The keys come first: nobody is led to what is not there.
        for path, content in (
            (JWKS_PATH, key_set(keys)), (DISCOVERY_PATH, document), (METADATA_PATH, document),
        ):  # fmt: skip
            _write(folder / name / path, content, desk)
        desk.answer(f"{folder / name}: keys of {community.url}: {len(keys)}")


def _write(path: Path, content: bytes, desk: Desk) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalFileUnfit(f"{path.parent} cannot be made: {error.strerror}.") from None
    replace(path, content, desk.entropy, mode=0o644)
