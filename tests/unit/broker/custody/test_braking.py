"""When an issuer calls too many grants dead, it is not believed until an operator has looked."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from credbroker.broker.custody.braking import COUNTS_LAG_SECONDS, Braking
from credbroker.domain.errors import CredbrokerError, IssuerSpared, StoreUnavailable
from credbroker.domain.marks import IssuerCount
from credbroker.domain.outcomes import Outcome
from tests.unit.broker.gate_world import ANSWERED, DEAD, ISSUER, GateWorld, key


def braking_of(world: GateWorld) -> Braking:
    """Return one more look at the issuer, as another replica would have."""
    return Braking(ISSUER, world.replicas, world.marks, world.means)


def note(braking: Braking, *, dead: int = 0, alive: int = 0) -> None:
    """Have the issuer say so many times that a grant is dead, or that it lives."""
    for _ in range(alive):
        braking.note(object(), dead=False)
    for _ in range(dead):
        braking.note(object(), dead=True)


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


async def test_one_person_who_revokes_and_logs_in_again_does_not_brake() -> None:
    """Six verdicts on one grant are one person's doing."""
    world = GateWorld()
    for _ in range(6):
        async with world.gate.entered(key(1)):
            world.gate.note(DEAD, key(1))
        await world.clock.pass_time(60)
    assert world.gate.believes_dead()


async def test_a_refresh_token_that_outlived_its_time_is_believed_dead_and_not_counted() -> None:
    """Fifty people who were on holiday for a month say nothing of the issuer."""
    world = GateWorld()
    for number in range(50):
        world.gate.note(DEAD, key(number), expired=True)
    assert world.gate.believes_dead()
    for number in range(6):
        world.gate.note(DEAD, key(number))
    assert not world.gate.believes_dead()
    assert world.gate.believes_dead(expired=True)


async def test_six_grants_that_are_rightly_dead_do_not_keep_the_healthy_out() -> None:
    """Their jobs ask six times as often as the one that is well."""
    world = GateWorld()
    for number in range(6):
        async with world.gate.entered(key(number)):
            world.gate.note(DEAD, key(number))
    assert not world.gate.believes_dead()
    said: list[str] = []

    async def asks(who: int, outcome: Outcome, every: float, log: list[str]) -> None:
        while True:
            try:
                async with world.gate.entered(key(who)):
                    world.gate.note(outcome, key(who))
                log.append("ok")
            except CredbrokerError as error:
                log.append(error.code)
            await world.clock.sleep(every)

    polls = [world.start(asks(number, DEAD, 5.0, [])) for number in range(6)]
    polls.append(world.start(asks(99, ANSWERED, 30.0, said)))
    await world.clock.pass_time(3600)
    for one in polls:
        one.cancel()
    await world.settle()
    assert said.count("ok") > 0.9 * len(said)


async def test_after_a_release_the_same_ones_do_not_trip_it_again() -> None:
    """The operator has looked at them; six others do."""
    world = GateWorld()
    braking = braking_of(world)
    for number in range(6):
        braking.note(key(number), dead=True)
    await world.settle()
    world.marks.release(ISSUER)
    for number in range(6):
        braking.note(key(number), dead=True)
    assert not braking.on
    note(braking, dead=6)
    assert braking.on


async def test_a_few_dead_among_many_healthy_hold_nobody_up() -> None:
    """They are not believed, but the healthy go on."""
    braking = braking_of(GateWorld())
    note(braking, dead=6, alive=14)
    assert braking.on
    braking.entered()
    braking.check()
