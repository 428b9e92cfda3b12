"""The desk: the machine's own, and what reaches a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.domain.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.conftest import Table


def test_the_machines_desk_has_the_real_ends() -> None:
    """Standard output, standard error, environment and user are this process's."""
    desk = system_desk()
    assert (desk.out, desk.err, desk.euid) == (sys.stdout, sys.stderr, os.geteuid())
    with pytest.raises(Malformed):
        desk.broker("ftp://x", None)


def test_an_answer_that_cannot_be_written_in_full_is_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name with an umlaut is no reason to fail where there is no UTF-8."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    system_desk().answer("Jürgen")
    sys.stdout.flush()
    assert written.getvalue() == b"J\\xfcrgen\n"


def test_text_from_elsewhere_cannot_steer_a_terminal() -> None:
    """Escape sequences, line ends and reversing marks become question marks."""
    assert plain("a\x1b[2Jb\n\u202ec") == "a?[2Jb??c"


def test_times_are_shown_to_the_minute() -> None:
    """UTC, and said so."""
    assert at_minute(datetime.datetime(2026, 6, 1, 12, 5, 59, tzinfo=datetime.UTC)) == (
        "2026-06-01 12:05 UTC"
    )


@pytest.mark.parametrize("columns", [80, 12, 3])
def test_what_is_waited_for_fits_into_one_line(
    table: Table, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """A longer one could not be erased, and would roll the terminal away."""
    told: list[str] = []

    @contextlib.contextmanager
    def progress(_: object, what: str, **__: object) -> Iterator[None]:
        told.append(what)
        yield

    monkeypatch.setattr("credbroker.cli.progress.progress", progress)
    desk = dataclasses.replace(table.desk(), columns=columns)
    address = f"https://{'x' * 100}.example.org"
    desk.broker(address, None).issuers()
    assert told == []  # a terminal without a name may be one that erases nothing
    table.environ["TERM"] = "xterm"
    desk.broker(address, None).issuers()
    (what,) = told
    assert len(what) <= max(0, columns - len(" 99 s ... "))
