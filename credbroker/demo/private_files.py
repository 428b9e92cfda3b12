"""Writes files that only their owner may read.

A file is made with its final mode before the first byte is written, so its content is at no instant
open to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Leave `content` at `path` with mode 0600, in place of whatever was there.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
