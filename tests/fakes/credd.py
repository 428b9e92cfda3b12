"""HTCondor's credd and schedd as far as a credmon sees them: files, owners, modes, signals.

As recorded on a running pool: a `.top` is written beside its place and renamed, owned by root, group
condor, mode 0600, in a folder of condor's that the credd makes; a signal goes out only if there is no
`.use` yet; a narrowed request is written anew with what narrows it; nothing is said of a removal.
Where the tests do not run as root the owners are left as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

CONDOR = 4242
"""The number of HTCondor's account and of its group."""
IS_ROOT = os.geteuid() == 0
_CONFIG_VAL = """\
#!{python} -ISE
import json, pathlib, sys
said = json.loads(pathlib.Path({settings!r}).read_text())
if sys.argv[1:2] != ["-subsystem"] or sys.argv[3:] != ["-dump", "-expand"]:
    sys.exit("this fake answers a dump alone")
print("# Configuration from machine: ap.example.org")
for name, value in said.items():
    print(name, "=", value)
print("# Contributing configuration file(s):\\n#\\t/etc/condor/condor_config")
"""


class Credd:
    """One folder of credentials, as the packages make it."""

    def __init__(self, folder: Path) -> None:
        """Make the folder: root's, group condor, 2770."""
        self.folder = folder
        folder.mkdir()
        _own(folder, 0, CONDOR)
        folder.chmod(0o2770)
        self.signals = 0

    def user(self, user: str) -> Path:
        """Return the user's folder, made as condor makes it."""
        folder = self.folder / user
        if not folder.exists():
            folder.mkdir()
            _own(folder, CONDOR, CONDOR)
            folder.chmod(0o2700)
        return folder

    def store(self, user: str, name: str, request: dict[str, Any] | bytes, **narrowed: str) -> None:
        """Store a `.top`; signal the credmon if there is no `.use`."""
        folder = self.user(user)
        content = request if isinstance(request, bytes) else json.dumps(request).encode()
        if narrowed and isinstance(request, dict):
            content = (json.dumps({**request, **narrowed}, indent=1) + "\n").encode()
        temporary = folder / f"{name}.top.tmp"
        temporary.write_bytes(content)
        _own(temporary, 0, CONDOR)
        temporary.chmod(0o600)
        temporary.rename(folder / f"{name}.top")
        with contextlib.suppress(FileNotFoundError):
            (self.folder / f"{user}.mark").unlink()
        if not (folder / f"{name}.use").exists():
            self.hang_up()

    def store_plain(self, user: str, name: str, token: bytes) -> Path:
        """Store a `.use` that no credmon is meant to touch."""
        path = self.user(user) / f"{name}.use"
        path.write_bytes(token)
        _own(path, 0, CONDOR)
        path.chmod(0o600)
        return path

    def delete(self, user: str, name: str) -> None:
        """Remove `.top` and `.use`, without a word to the credmon."""
        for suffix in (".top", ".use"):
            with contextlib.suppress(FileNotFoundError):
                (self.folder / user / (name + suffix)).unlink()

    def mark(self, user: str) -> None:
        """Mark a user without jobs, as the schedd does."""
        (self.folder / f"{user}.mark").touch(0o600)

    def sweep(self, user: str) -> None:
        """Remove a marked user's folder, as root, with all that is in it."""
        (self.folder / f"{user}.mark").unlink()
        while (self.folder / user).exists():  # what is written meanwhile is swept, too
            shutil.rmtree(self.folder / user, ignore_errors=True)

    def hang_up(self) -> None:
        """Signal whom the pid file names, if there is one."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGHUP)
            self.signals += 1

    def as_shadow_reads(self, user: str, name: str, *, trusted: bool) -> bytes:
        """Return a `.use` as the shadow does, or fail as it does; see TRUST_CREDENTIAL_DIRECTORY."""
        with (self.folder / user / f"{name}.use").open("rb") as opened:
            before = os.fstat(opened.fileno())
            if not trusted:
                assert before.st_uid == os.getuid()
                assert not before.st_mode & 0o077
            content = opened.read()
            assert os.fstat(opened.fileno()).st_mtime_ns == before.st_mtime_ns
        assert content
        return content


def put_config_val(folder: Path, settings: dict[str, str]) -> Path:
    """Put a `condor_config_val` into `folder` that knows these settings; return where they lie."""
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "settings.json"
    said.write_text(json.dumps(settings))
    program = folder / "condor_config_val"
    program.write_text(_CONFIG_VAL.format(python=sys.executable, settings=str(said)))
    program.chmod(0o755)
    return said


def _own(path: Path, uid: int, gid: int) -> None:
    if IS_ROOT:
        os.chown(path, uid, gid)
