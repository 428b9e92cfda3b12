"""Small file systems that can be filled to the last byte; only root may make them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = b"\0" * 4096


@dataclass
class SmallDisk:
    """A folder that is, where that was possible, a file system of its own of `size_kib`."""

    folder: Path
    size_kib: int
    mounted: bool = field(default=False, init=False)

    def open(self) -> None:
        """Make the folder, and mount the file system if we may."""
        self.folder.mkdir(mode=0o700)
        mount = shutil.which("mount")
        if mount is None or os.geteuid() != 0:
            return
        options = f"size={self.size_kib}k,mode=0700"
        words = [mount, "-t", "tmpfs", "-o", options, "credbroker-chaos", str(self.folder)]
        self.mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0

    def close(self) -> None:
        """Take the file system away."""
        umount = shutil.which("umount")
        if self.mounted and umount is not None:
            subprocess.run([umount, "-l", str(self.folder)], check=False, capture_output=True)
            self.mounted = False

    def fill(self) -> bool:
        """Leave no byte free; tell if the system then said that no space is left."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for chunk in (_CHUNK, b"\0"):
                try:
                    while True:
                        filler.write(chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        return False
        return True

    def empty(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            (self.folder / "filler").unlink()
