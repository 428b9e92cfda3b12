"""How a failure is said; `tests/integration/test_main.py` has it with streams that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.cli import failing
from credbroker.cli.exits import FAILED, INTERRUPTED, UNREACHABLE
from credbroker.domain.errors import BrokerUnreachable

if TYPE_CHECKING:
    import pytest


def raising() -> None:
    """Be where it failed."""
    raise BrokerUnreachable("It is away.", "Wait.")


def test_a_refusal_is_its_sentence_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly one line; the code is the kind's."""
    assert failing.failed(BrokerUnreachable("It is away.", "Wait."), debug=False) == UNREACHABLE
    assert capsys.readouterr().err == "credbroker: It is away. Wait.\n"


def test_what_nobody_planned_is_said_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    """It may hold anything."""
    assert failing.failed(KeyError("hunter2"), debug=False) == FAILED
    assert "hunter2" not in capsys.readouterr().err


def test_debug_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the sentence."""
    try:
        raising()
    except BrokerUnreachable as error:
        failing.failed(error, debug=True)
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("credbroker: It is away. Wait.\n")


def test_a_stop_has_a_line_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    """As shells have it."""
    assert failing.interrupted() == INTERRUPTED
    assert capsys.readouterr().err == "\ncredbroker: stopped\n"
