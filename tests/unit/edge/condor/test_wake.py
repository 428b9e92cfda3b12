"""What is noticed is gathered."""

from __future__ import annotations

import asyncio

from credbroker.edge.condor.wake import Noticed, Wake


async def test_at_first_everything_is_to_be_looked_at() -> None:
    """Whoever has just started knows nothing."""
    wake = Wake()
    assert wake.take().everywhere
    assert wake.take() == Noticed()


async def test_a_thousand_notes_are_one_look() -> None:
    """However often something is said, it is taken once."""
    wake = Wake()
    wake.take()
    for _ in range(1000):
        wake.everywhere()
        wake.user("alice")
    await asyncio.wait_for(wake.wait(), 5)
    assert wake.take() == Noticed(frozenset({"alice"}), everywhere=True)
    assert wake.take() == Noticed()
