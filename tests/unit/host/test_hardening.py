"""What the kernel says of a program that has forbidden core dumps."""

from __future__ import annotations

import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from credbroker.host import hardening

# In a program of its own: the limit and the mark cannot be taken back by who is not root.
STATE = """
import ctypes, resource
from credbroker.host.hardening import forbid_core_dumps
PR_GET_DUMPABLE = 3
prctl = ctypes.CDLL(None).prctl
print(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
forbid_core_dumps()
print(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the mark is Linux's own (prctl)")
def test_no_core_file_is_left_and_nobody_looks_in() -> None:
    """Both limits are zero, so they cannot be raised again, and the kernel's mark is off."""
    told = subprocess.run(
        [sys.executable, "-c", STATE], capture_output=True, text=True, check=True, timeout=30
    )
    assert told.stdout.split() == ["1", "0", "0", "0"]


def test_a_system_without_prctl_still_gets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library knows no `prctl`, the rest is done all the same."""
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *given: limits.append(given))
    monkeypatch.setattr("ctypes.CDLL", lambda _name: SimpleNamespace())
    hardening.forbid_core_dumps()
    assert limits == [(resource.RLIMIT_CORE, (0, 0))]
