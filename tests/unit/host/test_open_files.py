"""How many files a process may have open."""

from __future__ import annotations

import resource

import pytest

from credbroker.host import open_files


def test_as_many_as_the_system_allows() -> None:
    """Where a process was started with less."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        open_files.allow_many()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_sandbox_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit stays as it was."""

    def forbid(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "setrlimit", forbid)
    open_files.allow_many()
