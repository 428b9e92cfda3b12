"""All who acted by a token are found in it."""

from __future__ import annotations

import pytest

from credbroker.domain.actors import acting


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (None, []),
        ({"sub": "fts"}, ["fts"]),
        ({"sub": "fts", "act": {"sub": "rucio", "act": {"sub": "ada"}}}, ["fts", "rucio", "ada"]),
        ({"act": {"sub": "rucio"}}, ["rucio"]),
        ({"sub": 1}, []),
        ("fts", []),
    ],
)
def test_actors_are_named_the_newest_first(act: object, names: list[str]) -> None:
    """Whatever else the claim says."""
    assert list(acting(act)) == names
