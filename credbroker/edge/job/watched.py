"""Tells whether the program a job consists of is still running, by Linux's /proc.

A number that was given to another program meanwhile does not count: the start time tells them
apart. A program that has ended but was not collected by its parent counts as gone. One that cannot be
looked at, for want of a file descriptor say, is not gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from credbroker.domain.errors import NotFound

_ENDED = frozenset("ZXx")


class Watched:
    """One running program."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        """Remember which program has the number `pid` now; raise `NotFound` if none has."""
        self._stat = proc / str(pid) / "stat"
        self._start: Optional[str] = None
        started = self._started()
        if started is None:
            raise NotFound(
                f"Nothing runs with the number {pid}.",
                "Give --while-pid the number of the job's program, as in --while-pid $$.",
            )
        self._start = started

    def is_running(self) -> bool:
        """True while that very program runs."""
        return self._started() == self._start

    def _started(self) -> Optional[str]:
        try:
            # The name, second field, may hold anything: what follows its last bracket is regular.
            fields = self._stat.read_bytes().rpartition(b")")[2].decode("ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError:
            return self._start
        return None if fields[0] in _ENDED else fields[19]
