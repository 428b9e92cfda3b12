"""The credmon's own log: one line for each event, into a file that may be rotated away.

HTCondor's master gives its daemons no streams, and rotates nothing for a foreign one. A line that
cannot be written is lost, and nothing else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.job.log import line_of, put
from credbroker.ports import Clock

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Log:
    """Writes to a file, to standard error, or to both."""

    def __init__(self, clock: Clock, path: Path | None, *, to_stderr: bool = False) -> None:
        """Open the file at `path`; without one, or if told so, write to standard error.

        Raises:
            LocalFileUnfit: The file cannot be opened.
        """
        self._clock = clock
        self._stderr = sys.stderr if to_stderr or path is None else None
        self._file = None if path is None else _open(path)

    def reopen(self, path: Path | None) -> None:
        """Go on in the file that is at `path` now; if it cannot be opened, in the one before."""
        try:
            opened = None if path is None else _open(path)
        except LocalFileUnfit as unfit:
            self.say("the log stays where it was", why=unfit.sentence)
            return
        self.close()
        self._file = opened

    def close(self) -> None:
        """Close the file; what is said later goes to standard error or is lost."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def say(self, event: str, **fields: object) -> None:
        """Write one event; fields that are None are left out."""
        line = line_of(self._clock.now(), "credbroker-credmon", event, fields)
        for out in (self._file, self._stderr):
            if out is not None:
                put(out, line)


def _open(path: Path) -> TextIO:
    try:
        return os.fdopen(os.open(path, _FLAGS, 0o640), "a", encoding="utf-8")
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        raise LocalFileUnfit(f"The log {path} cannot be opened: {reason}.") from None
