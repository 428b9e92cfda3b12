"""Runs the programs that install other people's software: npm, pip and what they stand on."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class InstallError(Exception):
    """Something could not be installed; the sentence says what the installing program said."""


def run_installer(*words: str, seconds: float, folder: Path | None = None) -> None:
    """Run a program to its end, by default in this process's own folder.

    Raises:
        InstallError: It failed.
        subprocess.TimeoutExpired: It took longer than `seconds`, and was ended.
    """
    ended = subprocess.run(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if ended.returncode != 0:
        where = f" in {folder}" if folder else ""
        raise InstallError(f"'{' '.join(words)}' failed{where}:\n{ended.stdout}")
