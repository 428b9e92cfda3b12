"""The folder on this host's disk for what Vault cannot take, or cannot know."""

from __future__ import annotations

import os
from pathlib import Path

from credbroker.domain.errors import BadSettings


def make_own_folder(folder: Path) -> None:
    """Leave `folder` there for its owner alone (mode 0700); raise `BadSettings` if it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise BadSettings(
            f"{folder}: the folder for this host's custody cannot be made ({error.strerror})."
        ) from None


def sync_folder(folder: Path) -> None:
    """Return once the names in `folder` are on disk, so that a new file survives a power cut."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
