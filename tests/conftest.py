"""What every test may ask for."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.fakes.clock import FakeClock

pytest_plugins = ["tests.fixtures_openbao", "tests.canaries"]

# The same examples in every run; a failure is looked at, not met by chance.
settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, max_examples=25
)
settings.load_profile("project")


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still until the test moves it."""
    return FakeClock()
