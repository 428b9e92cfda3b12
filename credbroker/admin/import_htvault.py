"""`credbroker config import-htvault`: writes an HTVault's settings as ours, or says how they differ.

The same folder gives the same bytes each time. Secrets go to files of mode 0600 beside the settings
and are never printed. What could not be carried over is said on standard error.
"""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

import yaml

from credbroker.admin.desk import Desk
from credbroker.admin.htvault_carried import Carried, carry
from credbroker.admin.htvault_config import read_folder
from credbroker.config.load import DEFAULT_FOLDER
from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit

DIFFERENT = 1
_HEADING = (
    "# From an HTVault's settings, by credbroker config import-htvault. What is particular here"
    " belongs\n# into a file whose name comes later: that one wins, and this one can be made again.\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the HTVault's config.d")
    goes_to = parser.add_mutually_exclusive_group()
    goes_to.add_argument(
        "--out", type=Path, metavar="FILE",
        help="write the settings here, and client secrets into the folder secrets beside it",
    )  # fmt: skip
    goes_to.add_argument(
        "--diff", type=Path, metavar="FILE",
        help="write nothing; show how FILE differs, with exit code 1 if it does",
    )  # fmt: skip


def import_htvault(args: argparse.Namespace, desk: Desk) -> int:
    """Carry the settings over; return the exit code. Raises `BadSettings`, `LocalFileUnfit`."""
    file = (args.out or args.diff or DEFAULT_FOLDER / "htvault.yaml").absolute()
    carried = carry(read_folder(args.folder), file.parent / "secrets")
    text = _HEADING + yaml.safe_dump(carried.settings, sort_keys=False, allow_unicode=True)
    for note in carried.notes:
        desk.say(note)
    if args.diff is not None:
        return _compare(file, text, carried, desk)
    if args.out is not None:
        _write(file, text, carried, desk)
    else:
        desk.out.write(text)
    return 0


def _write(file: Path, text: str, carried: Carried, desk: Desk) -> None:
    """Write the secrets first, so that the settings never name one that is not there."""
    try:
        for secret_file in carried.secrets:
            secret_file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalFileUnfit(
            f"{file.parent}: no folder for secrets can be made here ({error.strerror})."
        ) from None
    for secret_file, secret in carried.secrets.items():
        whole_file.replace(secret_file, secret, desk.entropy)
    whole_file.replace(file, text.encode(), desk.entropy, mode=0o644)
    desk.answer(f"{file}: written, with {len(carried.secrets)} client secrets beside it.")


def _compare(file: Path, text: str, carried: Carried, desk: Desk) -> int:
    there = (whole_file.read(file, private=False) or b"").decode("utf-8", "replace")
    lines = list(
        difflib.unified_diff(
            there.splitlines(), text.splitlines(), str(file), "import-htvault", lineterm=""
        )
    )
    for line in lines:
        desk.answer(line)
    others = [
        path
        for path, secret in carried.secrets.items()
        if whole_file.read(path, private=False) != secret
    ]
    for path in others:
        desk.say(f"{path}: the client secret is another one, or missing.")
    return DIFFERENT if lines or others else 0
