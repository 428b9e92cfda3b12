"""Writers that are wrong on purpose: a reader that finds nothing wrong with them would find nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from credbroker.delivery import token_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret
from tests.chaos.file_writer import owner_of_file


def _in_place(path: Path, token: Secret, *_: object, mode: int, **__: Any) -> None:
    path.write_text(token.reveal())
    _finish(path, mode)


def _removed_first(path: Path, token: Secret, *_: object, mode: int, **__: Any) -> None:
    other = path.with_suffix(".new")
    other.write_text(token.reveal())
    _finish(other, mode)
    path.unlink(missing_ok=True)
    other.rename(path)


def _mode_set_later(path: Path, token: Secret, *_: object, mode: int, **__: Any) -> None:
    other = path.with_suffix(".new")
    other.write_text(token.reveal())
    other.chmod(0o644)
    other.rename(path)
    _finish(path, mode)


def _finish(path: Path, mode: int) -> None:
    path.chmod(mode)
    if owner := owner_of_file():
        os.chown(path, *owner)


def _planted(writer: Callable[..., None]) -> Callable[[], None]:
    def write(*args: Any, **named: Any) -> None:
        try:
            writer(*args, **named)
        except OSError as failure:
            raise LocalFileUnfit(f"{failure.strerror}.") from None

    return lambda: setattr(token_file, "write", write)


BUGS = {
    "written in place": _planted(_in_place),
    "old one removed first": _planted(_removed_first),
    "mode set later": _planted(_mode_set_later),
}
