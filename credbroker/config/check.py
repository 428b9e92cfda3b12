"""`credbroker config check`: are the settings right? Says so, or names file and key."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from credbroker.config.load import check_private, load, read_secret
from credbroker.config.schema import Settings

EXAMPLE = """\
example:
  credbroker config check /etc/credbroker/config.d
"""

DEFAULT_FOLDER = Path("/etc/credbroker/config.d")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="read the settings and every secret file they name")
    check.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)


def run(args: argparse.Namespace) -> int:
    """Check the folder; print one line."""
    settings = load(args.folder)
    for kind, file in secret_files(settings):
        read_secret(file, kind)
    if settings.listen.tls is not None:
        check_private(settings.listen.tls.key_file, "TLS key")
    count = len(settings.issuers)
    sys.stdout.write(
        f"{args.folder}: the settings are right ({count} issuer{'s' * (count != 1)})."
        " Certificates, the audit folder and OpenBao/Vault are looked at when the broker starts.\n"
    )
    return 0


def secret_files(settings: Settings) -> list[tuple[str, Path]]:
    """List every secret that the settings name by file: (kind, file)."""
    approle = settings.vault.approle
    files = [
        ("AppRole role id", approle.role_id_file),
        ("AppRole secret id", approle.secret_id_file),
    ]
    files += [
        ("client secret", issuer.client_secret_file)
        for issuer in settings.issuers.values()
        if issuer.client_secret_file is not None
    ]
    return files
