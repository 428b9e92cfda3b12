"""The desk: the machine's own, and what reaches a terminal."""

from __future__ import annotations

import datetime
import io
import os
import sys

import pytest

from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.domain.errors import Malformed


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
