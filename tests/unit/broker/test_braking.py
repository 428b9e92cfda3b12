"""When an issuer calls too many grants dead, it is not believed until an operator has looked."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from credbroker.broker.braking import COUNTS_LAG_SECONDS, Braking
from credbroker.domain.errors import IssuerSpared, StoreUnavailable
from credbroker.domain.marks import IssuerCount
from tests.unit.broker.gate_world import ISSUER, GateWorld


def braking_of(world: GateWorld) -> Braking:
    """Return one more look at the issuer, as another replica would have."""
    return Braking(ISSUER, world.replicas, world.marks, world.means)


def note(braking: Braking, *, dead: int = 0, alive: int = 0) -> None:
    """Have the issuer say so many times that a grant is dead, or that it lives."""
    for _ in range(alive):
        braking.note(dead=False)
    for _ in range(dead):
        braking.note(dead=True)


async def test_the_verdict_that_tips_it_is_not_believed_either() -> None:
    """Five dead logins may be true; with the sixth something is wrong with the issuer."""
    braking = braking_of(GateWorld())
    note(braking, dead=5)
    assert not braking.on
    note(braking, dead=1)
    assert braking.on


async def test_it_is_alarmed_once_and_recorded_for_all_replicas(logged: list[EventDict]) -> None:
    """However many more verdicts come."""
    world = GateWorld()
    braking = braking_of(world)
    note(braking, dead=20)
    await world.settle()
    note(braking, dead=20)
    await world.settle()
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["issuer_braked"]
    assert world.audit.events() == ["issuer_braked"]
    assert world.marks.braked(ISSUER)
    assert braking_of(world).on


async def test_what_all_replicas_were_told_counts() -> None:
    """Six dead logins at three replicas are as strange as six at one."""
    world = GateWorld()
    world.replicas.counted = IssuerCount(refreshes=4, dead=4)
    braking = braking_of(world)
    note(braking, dead=1)
    assert not braking.on
    note(braking, dead=1)
    assert braking.on


async def test_a_big_issuer_may_have_more_dead_logins() -> None:
    """One in a hundred."""
    world = GateWorld()
    world.replicas.counted = IssuerCount(refreshes=2000, dead=0)
    braking = braking_of(world)
    note(braking, dead=20)
    assert not braking.on
    note(braking, dead=1)
    assert braking.on


async def test_a_brake_that_cannot_be_recorded_is_on_here_and_tried_again() -> None:
    """With the next answer of the issuer."""
    world = GateWorld()
    world.marks.broken = StoreUnavailable("OpenBao/Vault does not answer.")
    braking = braking_of(world)
    note(braking, dead=6)
    await world.settle()
    assert braking.on
    assert not world.marks.braked(ISSUER)
    world.marks.broken = None
    note(braking, alive=1)
    await world.settle()
    assert world.marks.braked(ISSUER)


async def test_a_brake_that_no_mark_tells_of_yet_stays_on_here() -> None:
    """The marks were never read, so they cannot say so."""
    world = GateWorld()
    world.marks.unread = True
    braking = braking_of(world)
    note(braking, dead=6)
    await world.settle()
    assert braking.on
    assert world.audit.events() == []
    world.marks.unread = False
    note(braking, dead=1)
    await world.settle()
    assert world.audit.events() == ["issuer_braked"]


async def test_only_a_release_ends_it() -> None:
    """Not time, and not good answers."""
    world = GateWorld()
    braking = braking_of(world)
    note(braking, dead=6)
    await world.settle()
    await world.clock.pass_time(86400)
    note(braking, alive=500)
    assert braking.on
    world.marks.release(ISSUER)
    assert not braking.on


async def test_after_a_release_it_begins_anew() -> None:
    """What was counted before, here or by others, does not put it on again."""
    world = GateWorld()
    braking = braking_of(world)
    note(braking, dead=6)
    await world.settle()
    world.replicas.counted = IssuerCount(refreshes=6, dead=6)
    world.marks.release(ISSUER)
    note(braking, dead=1)
    assert not braking.on
    assert braking.counts() == IssuerCount(refreshes=1, dead=1)
    await world.clock.pass_time(COUNTS_LAG_SECONDS)
    note(braking, dead=1)
    assert braking.on


async def test_while_most_are_called_dead_one_a_minute_is_asked_over_all_replicas() -> None:
    """Three replicas, so each every three minutes."""
    world = GateWorld()
    world.place(rank=0, count=3)
    braking = braking_of(world)
    note(braking, dead=6)
    braking.check()
    braking.entered()
    for _ in range(2):
        await world.clock.pass_time(89)
        with pytest.raises(IssuerSpared, match="most logins dead"):
            braking.check()
    await world.clock.pass_time(2)
    braking.check()


async def test_a_few_dead_among_many_healthy_hold_nobody_up() -> None:
    """They are not believed, but the healthy go on."""
    braking = braking_of(GateWorld())
    note(braking, dead=6, alive=14)
    assert braking.on
    braking.entered()
    braking.check()
