"""Lets a process that speaks with many servers have as many files open as the system allows it."""

from __future__ import annotations

import contextlib
import resource


def allow_many() -> None:
    """Raise the limit that is usually in force, of 1024, to the one that may not be exceeded."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it; then it stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
