"""Installs the unmodified htgettoken 2.2, with the gssapi, paramiko and urllib3 it runs on.

- Every part is checked against the hash in `requirements.txt`; nothing of ours is installed there.
- It is installed once, and again only when `requirements.txt` is newer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
INSTALL_LIMIT_SECONDS = 240


class InstallError(Exception):
    """htgettoken could not be installed; the sentence says what was said."""


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    for program, package in (("gcc", "gcc"), ("krb5-config", "libkrb5-dev"), ("jq", "jq")):
        if shutil.which(program) is None:
            return (
                f"{program} is not installed; install the package {package}, then run this again."
            )
    return None


def install(into: Path) -> Path:
    """Install what `requirements.txt` names into an environment at `into`, unless it is there.

    Returns:
        The folder with the client's commands.

    Raises:
        InstallError: pip failed.
    """
    commands, done = into / "bin", into / "done"
    if not done.exists() or done.stat().st_mtime < REQUIREMENTS.stat().st_mtime:
        _run(sys.executable, "-m", "venv", "--clear", str(into))
        quiet = ("--quiet", "--disable-pip-version-check")
        wanted = ("--require-hashes", "-r", str(REQUIREMENTS))
        _run(str(commands / "pip"), "install", *quiet, *wanted)
        done.touch()
    return commands


def _run(*words: str) -> None:
    ended = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_LIMIT_SECONDS,
        check=False,
    )
    if ended.returncode != 0:
        raise InstallError(f"'{' '.join(words)}' failed:\n{ended.stdout}")
