"""Who installs what several test processes use."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from tests.interop.alone import alone_in

if TYPE_CHECKING:
    from pathlib import Path


def test_the_folder_is_made_and_nobody_else_works_there(tmp_path: Path) -> None:
    """Also on a fresh machine, where nothing has made a folder for it yet."""
    folder = tmp_path / "cache" / "tools"
    with alone_in(folder):
        other = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
