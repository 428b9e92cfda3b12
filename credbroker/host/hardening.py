"""Keeps the memory of a process that holds refresh tokens out of core dumps and other people's eyes."""

from __future__ import annotations

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let this process leave no core file and be read by no debugger of the same user.

    Works as far as the system allows: `prctl` is Linux's own, and is passed over elsewhere.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
