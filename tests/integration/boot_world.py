"""A machine of its own for the units: a real systemd, booted over a throw-away copy of this one.

`boot` lays an overlay over this machine's files, in a mount namespace of its own, installs the units
into it, boots systemd in a container there (systemd-nspawn, own network), and has it play a story:
a Python module, run as root inside, that leaves what it saw in one JSON file. Nothing of it is left
behind, and nothing outside is touched. A story that installs by itself has other files put there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
UNITS = REPOSITORY / "systemd"
INSIDE = Path("/opt/credbroker")
SEEN = Path("/var/story/seen.json")
LONGEST_SECONDS = 120

_PACKAGES = sysconfig.get_path("purelib")
# The interpreter may lie in somebody's home, which the units do not see: it is mounted elsewhere.
_PYTHON = f"""\
#!/bin/sh
export PYTHONPATH={INSIDE}/source:{INSIDE}/packages PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH={INSIDE}/python/lib
exec {INSIDE}/python/bin/python{sys.version_info.major}.{sys.version_info.minor} "$@"
"""
_PROGRAM = """\
#!/bin/sh
exec /usr/bin/python-of-tests -m credbroker "$@"
"""
_STORY = f"""\
[Unit]
After=basic.target

[Service]
Type=oneshot
WorkingDirectory={INSIDE}/source
ExecStart=/usr/bin/python-of-tests -m {{module}} {SEEN}
ExecStopPost=/bin/systemctl --no-block exit 0
TimeoutStartSec={LONGEST_SECONDS - 20}
StandardOutput=append:/var/story/said
StandardError=append:/var/story/said
"""
_TARGET = """\
[Unit]
Requires=basic.target
Wants=story.service
After=basic.target
AllowIsolate=yes
"""
# Everything is mounted in a namespace of its own, so the kernel takes it away with the last process.
_OVERLAY = """\
set -eu
mount -t tmpfs -o mode=0755 tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
"""
_BOOT = """\
cp -a "$2/." root/
seconds=$3
shift 3
timeout -k 10 "$seconds" systemd-nspawn --quiet --register=no --keep-unit --private-network \
  --kill-signal=SIGRTMIN+3 -D root "$@" -b systemd.unit=story.target \
  </dev/null >"$OUT/console" 2>&1 || true
cp -a root/var/story/. "$OUT"
"""


def why_not(folder: Path) -> str:
    """Return why nothing can be booted here; empty if it can."""
    if shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is missing; apt-get install systemd-container dbus"
    if os.geteuid() != 0:
        return "booting a container takes root"
    tried = _unshared(folder, _OVERLAY, [])
    return f"no overlay can be mounted here: {tried.stderr.strip()}" if tried.returncode else ""


def boot(
    folder: Path, module: str, install: Callable[[Path], None] | None = None
) -> dict[str, Any]:
    """Boot, play the story in `module`, and return what it saw.

    `folder` is empty; the console and what the story said stay there. `install` lays files into the
    folder that it is given, as from the machine's root; without it the units are there.
    """
    mounted, added, out = folder / "mounted", folder / "added", folder / "out"
    for one in (mounted, added, out):
        one.mkdir()
    (install or install_units)(added)
    _add_story(added, module)
    binds = {"source": REPOSITORY, "packages": _PACKAGES, "python": sys.base_prefix}
    words = [f"--bind-ro={there}:{INSIDE / name}" for name, there in binds.items()]
    os.environ["OUT"] = str(out)
    played = _unshared(mounted, _OVERLAY + _BOOT, [str(added), str(LONGEST_SECONDS), *words])
    seen = out / SEEN.name
    told = (out / "said").read_text() if (out / "said").exists() else ""
    assert seen.exists(), (played.stderr, told, (out / "console").read_text(errors="replace"))
    read: dict[str, Any] = json.loads(seen.read_bytes())
    return read


def _unshared(folder: Path, script: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "-m", "sh", "-c", script, "boot", str(folder), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST_SECONDS + 30, check=False
    )


def install_units(added: Path) -> None:
    """Put everything where the comments of the units say."""
    system, user = added / "etc/systemd/system", added / "etc/systemd/user"
    for folder in (system, user, added / "etc/sysusers.d", added / "etc/tmpfiles.d"):
        folder.mkdir(parents=True)
    for unit in UNITS.glob("*.service"):
        shutil.copy(unit, system)
    probe = (UNITS / "credbroker-sessions.service").read_text()
    start = "/usr/bin/python-of-tests -m tests.integration.boot_probe"
    words = f"ExecStart={start}\nWorkingDirectory={INSIDE}/source"
    (system / "probe.service").write_text(re.sub("ExecStart=.*", words, probe))
    for unit in UNITS.glob("user/*.service"):
        shutil.copy(unit, user)
    shutil.copy(UNITS / "credbroker-sysusers.conf", added / "etc/sysusers.d/credbroker.conf")
    shutil.copy(UNITS / "credbroker-tmpfiles.conf", added / "etc/tmpfiles.d/credbroker.conf")
    _write_program(added, "credbroker", _PROGRAM)


def _write_program(added: Path, name: str, content: str) -> None:
    program = added / "usr/bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(content)
    program.chmod(0o755)


def _add_story(added: Path, module: str) -> None:
    system = added / "etc/systemd/system"
    system.mkdir(parents=True, exist_ok=True)
    (added / "var/story").mkdir(parents=True)
    (added / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
    _write_program(added, "python-of-tests", _PYTHON)
    (system / "story.service").write_text(_STORY.format(module=module))
    (system / "story.target").write_text(_TARGET)
