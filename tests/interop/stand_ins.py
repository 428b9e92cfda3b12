"""Our stand-ins for htgettoken and its companions, written into a folder as a site would have it done."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.interop.site import STEP_SECONDS, bare_environment

if TYPE_CHECKING:
    from pathlib import Path


def write_stand_ins(folder: Path) -> Path:
    """Have `credbroker shims` write them; return the folder."""
    subprocess.run(
        [sys.executable, "-m", "credbroker", "shims", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=bare_environment(),
        timeout=STEP_SECONDS,
    )
    return folder
