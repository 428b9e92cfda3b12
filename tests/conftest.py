"""What every test may ask for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["tests.fixtures_openbao", "tests.canaries"]

# The same examples in every run; a failure is looked at, not met by chance.
settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, max_examples=25
)
settings.load_profile("project")


def pytest_collection_finish() -> None:
    """Leave what imports and collection made out of every later look for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _whoever_leaves_a_socket_open_is_named() -> Iterator[None]:
    """Look for garbage at the end of each file, so that a leak fails this file and no later one."""
    yield
    gc.collect()


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until the test moves it."""
    return FakeClock()
