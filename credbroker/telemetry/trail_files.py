"""Finds and reads the files of the audit trail, those that were rotated or packed among them.

- A folder stands for every file of the trail in it, in the order of their names.
- Lines come one by one as bytes, with the newline that ends them; what a broker is just writing may
  have none. So much is read at once that files of any size can be.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from credbroker.domain.errors import LocalFileUnfit

_TRAIL = "audit-*.jsonl*"
LONGEST_LINE_BYTES = 1 << 20
"""No line of the trail is as long: its fields are cut, and so are their lists."""


def trail_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files that `paths` name, each once. Raises `LocalFileUnfit` where there is no trail."""
    found: dict[Path, None] = {}
    for path in paths:
        try:
            files = _files_at(path)
        except OSError as error:
            raise _unreadable(path, error) from None
        if not files:
            raise LocalFileUnfit(f"{path}: there is no audit trail here.")
        found.update(dict.fromkeys(files))
    return list(found)


def raw_lines(path: Path) -> Iterator[bytes]:
    """Walk the lines of a file, unpacked if its name ends in `.gz`.

    A longer line than any of the trail comes in pieces. Raises `LocalFileUnfit`.
    """
    try:
        with _opened(path) as file:
            while line := file.readline(LONGEST_LINE_BYTES):
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise LocalFileUnfit(f"{path}: this packed file is damaged, or was cut.") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _files_at(path: Path) -> list[Path]:
    named = sorted(path.iterdir()) if path.is_dir() else [path]
    return [one for one in named if one.is_file() and (one == path or one.match(_TRAIL))]


def _unreadable(path: Path, error: OSError) -> LocalFileUnfit:
    return LocalFileUnfit(f"{path}: cannot be read ({error.strerror}).")


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")
