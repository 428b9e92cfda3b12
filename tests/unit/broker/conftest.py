"""What every story of the deeds starts with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """Keep log lines for the test instead of writing them out."""
    with capture_logs() as lines:
        yield lines
