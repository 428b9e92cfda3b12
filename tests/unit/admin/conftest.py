"""What tests of the operators' commands share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.unit.admin.rooms import Rooms, open_rooms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.clock import FakeClock


@pytest.fixture
def rooms(tmp_path: Path, clock: FakeClock) -> Rooms:
    """An office with nothing in it yet."""
    return open_rooms(tmp_path, clock)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets up the log of its process, which here is everybody's."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:] = kept
    root.setLevel(level)
    structlog.reset_defaults()
