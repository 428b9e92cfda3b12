"""Python environments for neighbours' own software, which is never installed beside ours.

- What goes into the environment NAME stands in `requirements-NAME.txt`: every package with its version,
  those that others need included. Nothing else is installed.
- Each is made once and kept in the user's cache folder; again only when its file or Python changed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from tests.interop.alone import alone_in
from tests.interop.installing import run_installer

INSTALL_LIMIT_SECONDS = 400
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


def venv(name: str, *, base: str = sys.executable, with_system: bool = False) -> Path:
    """Return the Python program of an environment; it is made first where it is not there.

    Args:
        name: Which `requirements-NAME.txt` it follows.
        base: The Python program that it is made with.
        with_system: Whether it also sees the packages that belong to `base`.

    Raises:
        InstallError: pip failed.
    """
    requirements = Path(__file__).parent / f"requirements-{name}.txt"
    folder = _cache_folder() / name
    made, done = folder / "venv", folder / "done"
    stamp = hashlib.sha256(requirements.read_bytes() + base.encode()).hexdigest()
    with alone_in(folder):
        if not done.exists() or done.read_text() != stamp:
            done.unlink(missing_ok=True)
            system = ("--system-site-packages",) if with_system else ()
            _run(base, "-m", "venv", "--clear", *system, str(made))
            _run(str(made / "bin/python"), *_PIP, "-r", str(requirements))
            done.write_text(stamp)
    return made / "bin/python"


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "credbroker-interop"


def _run(*words: str) -> None:
    run_installer(*words, seconds=INSTALL_LIMIT_SECONDS)
