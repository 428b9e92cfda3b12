"""A person's desk, for the commands that people run beside a job's, and what job and person share."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from credbroker.edge.job.program import PASSED_ON
from tests.unit.cli.conftest import table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SHOW", "signals_as_before", "table"]

SHOW = (
    "import os; print(open(os.environ['BEARER_TOKEN_FILE']).read(), 'BEARER_TOKEN' in os.environ);"
    " raise SystemExit(42)"
)
"""A program that prints its token and whether it was left another one, and ends with 42."""


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """What a test lets this process do with its signals ends with it."""
    before = {number: signal.getsignal(number) for number in (*PASSED_ON, signal.SIGCHLD)}
    yield
    signal.set_wakeup_fd(-1)
    for number, what in before.items():
        signal.signal(number, what)
