"""People of this machine, for tests that run as root: their uids, and folders that they can reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ALICE = (64000, 64000)
EVE = (64001, 64001)
BOB = (64002, 64002)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for other people")


@pytest.fixture
def hall() -> Iterator[Path]:
    """A folder of root's that everybody may look into, as /run/user is; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="hall-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def move_in(hall: Path, owner: tuple[int, int]) -> Path:
    """Make a person's session folder there, as logind does; return its path."""
    folder = hall / str(owner[0])
    folder.mkdir(mode=0o700)
    os.chown(folder, *owner)
    return folder
