"""Installs an unmodified htgettoken, with the gssapi, paramiko and urllib3 it runs on.

- Release 2.2 is there always, from its package: every part is checked against the hash in
  `requirements.txt`; nothing of ours is installed beside it.
- Another release is built from its source on the same parts, if `$CREDBROKER_HTGETTOKEN_SOURCE` names
  the folder; that folder stays as it is.
- Each is installed once, and again only when `requirements.txt` or the folder's name changed.
"""

from __future__ import annotations

import os
import shutil
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from tests.interop.alone import alone_in
from tests.interop.installing import InstallError, run_installer

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
SOURCE = "CREDBROKER_HTGETTOKEN_SOURCE"
INSTALL_LIMIT_SECONDS = 240
_QUIET = ("--quiet", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the client: from `source`, or from its package."""

    version: str
    source: Path | None = None

    def __str__(self) -> str:
        """Give the version, as tests are called by it."""
        return self.version


PACKAGED = Release("2.2")


def releases() -> list[Release]:
    """Return the releases that tests run with: 2.2, and the one whose source is named.

    Raises:
        InstallError: What is named is no folder of htgettoken's source.
    """
    named = os.environ.get(SOURCE)
    return [PACKAGED, _release_at(Path(named))] if named else [PACKAGED]


def missing_program() -> str | None:
    """Return a sentence about what has to be installed first, or None."""
    for program, package in (("gcc", "gcc"), ("krb5-config", "libkrb5-dev"), ("jq", "jq")):
        if shutil.which(program) is None:
            return (
                f"{program} is not installed; install the package {package}, then run this again."
            )
    return None


def install(release: Release, into: Path) -> Path:
    """Install a release into an environment at `into`, unless it is there or somebody else does.

    Returns:
        The folder with the client's commands.

    Raises:
        InstallError: pip failed.
    """
    done = into / "done"
    stamp = f"{REQUIREMENTS.stat().st_mtime} {release.source}"
    with alone_in(into.parent):
        if not done.exists() or done.read_text() != stamp:
            _install(release, into)
            done.write_text(stamp)
    return into / "bin"


def _install(release: Release, into: Path) -> None:
    _run(sys.executable, "-m", "venv", "--clear", str(into))
    pip = (str(into / "bin" / "pip"), "install", *_QUIET)
    _run(*pip, "--require-hashes", "-r", str(REQUIREMENTS))
    if release.source is not None:
        copied = shutil.copytree(release.source, into / "source")
        _run(*pip, "--no-deps", str(copied))


def _release_at(source: Path) -> Release:
    about = ConfigParser()
    about.read(source / "setup.cfg")
    if about.get("metadata", "name", fallback="") != "htgettoken":
        raise InstallError(f"${SOURCE} must name a folder with htgettoken's setup.cfg.")
    return Release(about["metadata"]["version"], source.resolve())


def _run(*words: str) -> None:
    run_installer(*words, seconds=INSTALL_LIMIT_SECONDS)
