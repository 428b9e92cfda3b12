"""What is poisoned, and an issuer that never answers, delay nobody else (promise 6)."""

from __future__ import annotations

from functools import partial

import pytest

from bench import virtual
from bench.poison import poisoned_world

GRANTS = 400


@pytest.mark.slow
def test_the_healthy_rest_is_all_in_time() -> None:
    """Every healthy caller finds another token each time it comes back as told.

    One grant in twenty is poisoned, one issuer in twenty a black hole; `make bench` counts the same
    over ten thousand grants.
    """
    seen = virtual.run(partial(poisoned_world, GRANTS))
    assert seen.healthy == 19 * 19
    assert seen.in_time == seen.healthy
    assert seen.others["a token"] == 0
    assert {"record_damaged", "login_needed", "not_found"} <= set(seen.others)
