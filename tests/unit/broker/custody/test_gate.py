"""Every refresh passes the gate of its issuer, which keeps order and closes in trouble."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import EventDict

from credbroker.broker.custody.gate import LONGEST_SPARED_SECONDS, SHORTEST_SPARED_SECONDS
from credbroker.domain.breaker import Phase
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    GrantPaused,
    IssuerFailed,
    IssuerSpared,
    IssuerUnreachable,
    NotFound,
    StoreUnavailable,
)
from credbroker.domain.marks import IssuerCount
from credbroker.domain.outcomes import NotActedOn, Unclear
from credbroker.domain.pacing import IssuerLimits
from credbroker.domain.rotation import UnclearRule
from tests.fakes.clock import FakeClock
from tests.unit.broker.gate_world import ANSWERED, DEAD, ISSUER, SILENT, GateWorld, key

WIDE = IssuerLimits(per_second=1000.0, at_once=1001)
THREE = IssuerLimits(per_second=1000.0, at_once=4)
REJECTED = NotActedOn(ClientRejected("The issuer does not accept the broker's client."))


async def test_no_more_are_inside_than_there_are_places() -> None:
    """The rest waits."""
    world = GateWorld(THREE)
    tasks = [world.start(world.pass_through(number, seconds=1.0)) for number in range(10)]
    await world.settle()
    standing = world.gate.standing()
    assert (standing.in_flight, standing.waiting) == (3, 7)
    await world.clock.pass_time(5)
    assert all(task.done() for task in tasks)
    assert world.most_at_once == 3
    assert world.gate.standing().in_flight == 0


async def test_who_waits_longest_is_next() -> None:
    """Nobody overtakes, so nobody waits for ever."""
    world = GateWorld(IssuerLimits(per_second=1000.0, at_once=1))
    tasks = []
    for number in range(6):
        tasks.append(world.start(world.pass_through(number, seconds=1.0)))
        await world.settle()
    await world.clock.pass_time(10)
    assert world.entered == [key(number) for number in range(6)]


@given(pauses=st.lists(st.floats(0, 0.5), min_size=1, max_size=30))
def test_the_rate_is_never_exceeded(pauses: list[float]) -> None:
    """So many at once as there are places, and so many a second after that."""

    async def story() -> None:
        clock = FakeClock()
        world = GateWorld(IssuerLimits(per_second=5.0, at_once=4), clock=clock)
        times: list[float] = []

        async def refresh() -> None:
            async with world.gate.entered(key(0)):
                times.append(clock.elapsed())

        for pause in pauses:
            world.start(refresh())
            await clock.pass_time(pause)
        await clock.pass_time(30)
        assert len(times) == len(pauses)
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                seconds = times[last] - start
                assert last - first + 1 <= 3 + 5.0 * 3 / 4 * seconds + 1e-6

    asyncio.run(story())


async def test_one_timer_serves_all_who_wait_for_the_rate() -> None:
    """A thousand waiters cost no thousand sleepers."""
    world = GateWorld(IssuerLimits(per_second=1.0, at_once=1))
    for number in range(20):
        world.start(world.pass_through(number))
    await world.settle()
    assert len(world.entered) == 1
    assert len(world.clock._sleepers) == 1
    await world.clock.pass_time(20)
    assert len(world.entered) == 20


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    """The next in the line moves up."""
    world = GateWorld(IssuerLimits(per_second=1000.0, at_once=1))
    world.start(world.pass_through(1, seconds=1.0))
    await world.settle()
    second, third = (world.start(world.pass_through(at)) for at in (2, 3))
    await world.settle()
    second.cancel()
    await world.clock.pass_time(2)
    assert third.done()
    assert world.entered == [key(1), key(3)]


async def test_who_gives_up_just_when_let_in_leaves_no_place_taken() -> None:
    """A place lost so would be lost for good."""
    world = GateWorld(IssuerLimits(per_second=1000.0, at_once=1))
    async with world.gate.entered(key(1)):
        second = world.start(world.pass_through(2))
        await world.settle()
        world.clock.advance(1)
    assert world.gate.standing().in_flight == 1
    second.cancel()
    await world.settle()
    assert world.entered == []
    assert world.gate.standing().in_flight == 0


async def test_three_refreshes_without_an_answer_close_it() -> None:
    """Whoever asks is told at once, and until about when."""
    world = GateWorld(WIDE)
    await world.open_breaker()
    with pytest.raises(IssuerUnreachable, match=r"'cms' does not answer .* in about \d+ s") as told:
        world.gate.check(key(9))
    assert "stay valid" in told.value.remedy
    with pytest.raises(IssuerUnreachable):
        await world.pass_through(9)
    assert world.gate.standing().phase is Phase.OPEN


async def test_an_error_before_anything_was_sent_counts_too() -> None:
    """A connection that is refused says as much as an answer that does not come."""
    world = GateWorld(WIDE)
    for _ in range(3):
        world.gate.note(IssuerUnreachable("Connection refused."))
    assert world.gate.standing().phase is Phase.OPEN


async def test_what_vault_does_says_nothing_of_the_issuer() -> None:
    """A claim that could not be stored was given back; nobody was asked."""
    world = GateWorld(WIDE)
    for _ in range(9):
        world.gate.note(NotActedOn(StoreUnavailable("OpenBao/Vault does not answer.")))
    assert world.gate.standing().phase is Phase.CLOSED


async def test_who_waits_is_told_when_it_closes() -> None:
    """Nobody is let in after that, though places become free."""
    world = GateWorld(THREE)
    hanging = [world.start(world.pass_through(at, SILENT, 120.0)) for at in range(3)]
    await world.settle()
    waiting = [world.start(world.pass_through(at)) for at in range(3, 9)]
    await world.clock.pass_time(120)
    assert all(task.done() for task in hanging)
    assert all(isinstance(task.exception(), IssuerUnreachable) for task in waiting)
    assert world.entered == [key(at) for at in range(3)]


async def test_no_more_are_left_without_an_answer_than_there_are_places() -> None:
    """However their beginnings are spread: a place is not given anew before somebody is answered."""
    world = GateWorld(IssuerLimits(per_second=1000.0, at_once=9))
    for number in range(40):
        world.start(world.pass_through(number, SILENT, 120.0))
        await world.clock.pass_time(7)
    await world.clock.pass_time(240)
    assert len(world.entered) == 8


async def test_a_trial_is_for_the_chosen_grant_alone() -> None:
    """Others are told; an answer opens the gate for them."""
    world = GateWorld(WIDE)
    await world.open_breaker()
    assert world.gate.may_try()
    world.gate.offer(key(7))
    with pytest.raises(IssuerUnreachable):
        await world.pass_through(8)
    trial = world.start(world.pass_through(7, seconds=1.0))
    await world.settle()
    assert world.gate.standing().phase is Phase.TRIAL
    with pytest.raises(IssuerUnreachable):
        await world.pass_through(7)
    await world.clock.pass_time(1)
    assert trial.done()
    assert world.gate.standing().phase is Phase.CLOSED
    await world.pass_through(8)


async def test_two_who_come_for_one_offer_make_one_trial() -> None:
    """The second is told, not kept waiting for the first one's luck."""
    world = GateWorld(WIDE)
    await world.open_breaker()
    world.gate.offer(None)
    one = world.start(world.pass_through(1, seconds=1.0))
    two = world.start(world.pass_through(2, seconds=1.0))
    await world.settle()
    assert not one.done()
    assert isinstance(two.exception(), IssuerUnreachable)
    await world.clock.pass_time(1)


async def test_a_trial_waits_for_those_still_inside() -> None:
    """One refresh at a time means one, whenever the others began."""
    world = GateWorld(WIDE)
    world.start(world.pass_through(5, seconds=100.0))
    await world.settle()
    await world.open_breaker()
    assert not world.gate.may_try()
    await world.clock.pass_time(100)
    assert world.gate.standing().phase is Phase.OPEN
    assert world.gate.may_try()


async def test_a_trial_that_never_asked_the_issuer_is_none() -> None:
    """Its offer can be made again at once."""
    world = GateWorld(WIDE)
    await world.open_breaker()
    world.gate.offer(key(7))
    await world.pass_through(7, None)
    assert world.gate.may_try()


async def test_others_who_are_answered_bring_the_trial_forward() -> None:
    """A replica whose turn comes late need not wait for it."""
    world = GateWorld(WIDE)
    world.place(rank=3, count=4)
    await world.open_breaker()
    assert not world.gate.may_try()
    world.replicas.counted = IssuerCount(refreshes=5)
    assert world.gate.may_try()


async def test_where_a_trial_costs_nothing_rank_does_not_matter() -> None:
    """An issuer that gives the same value back loses nobody's login."""
    world = GateWorld(WIDE, rule=UnclearRule.RETRY_SAFE)
    world.place(rank=3, count=4)
    await world.open_breaker()
    assert not world.gate.a_trial_costs()
    assert world.gate.may_try()


@pytest.mark.parametrize("kind", [NotActedOn, Unclear])
async def test_it_stays_closed_for_as_long_as_the_issuer_asks(
    kind: type[NotActedOn | Unclear],
) -> None:
    """Who waits is told, too."""
    world = GateWorld(WIDE)
    world.gate.note(kind(IssuerUnreachable("The issuer is busy or away."), 300.0))
    with pytest.raises(IssuerSpared, match="left alone for about 5 min"):
        await world.pass_through()
    standing = world.gate.standing()
    assert standing.phase is Phase.CLOSED
    assert world.gate.in_trouble
    assert standing.open_until is not None
    assert (standing.open_until - world.clock.now()).total_seconds() == 300
    await world.clock.pass_time(300)
    await world.pass_through()
    assert world.gate.standing().open_until is None


async def test_an_issuer_cannot_ask_to_be_left_alone_for_days() -> None:
    """Some minutes at most; then it may ask again."""
    world = GateWorld(WIDE)
    world.gate.note(NotActedOn(IssuerUnreachable("The issuer is busy or away."), 9e9))
    await world.clock.pass_time(LONGEST_SPARED_SECONDS)
    await world.pass_through()


async def test_a_sound_probe_ends_the_rest_after_the_first_minute() -> None:
    """A proxy's page asks for longer than its issuer needs."""
    world = GateWorld(WIDE)
    world.gate.note(Unclear(IssuerUnreachable("The issuer is busy or away."), 300.0))
    world.gate.probed(None)
    assert world.gate.spared
    await world.clock.pass_time(SHORTEST_SPARED_SECONDS)
    world.gate.probed(None)
    assert not world.gate.in_trouble
    await world.pass_through()


@pytest.mark.parametrize("error", [IssuerFailed("A 500."), GrantPaused("Sign the policy.")])
async def test_what_one_grant_is_asked_to_wait_holds_nobody_else_up(error: CredbrokerError) -> None:
    """Only an issuer that is busy speaks for all."""
    world = GateWorld(WIDE)
    world.gate.note(NotActedOn(error, 3600.0), key(1))
    assert not world.gate.spared
    await world.pass_through(2)


async def test_being_asked_to_come_back_is_no_failure() -> None:
    """Nothing was done and nothing is lost."""
    world = GateWorld(WIDE)
    for _ in range(20):
        world.gate.note(NotActedOn(IssuerFailed("Too many."), 1.0))
    assert world.gate.standing().phase is Phase.CLOSED


async def test_a_rejected_client_pauses_the_issuer_until_a_probe_is_accepted(
    logged: list[EventDict],
) -> None:
    """It is the operator's to mend, said once; no grant has anything to do with it."""
    world = GateWorld(WIDE)
    for _ in range(3):
        world.gate.note(REJECTED, key(1))
    world.gate.note(REJECTED, key(2))
    with pytest.raises(IssuerSpared, match="own client") as told:
        await world.pass_through()
    assert "client_secret_file" in told.value.remedy
    assert [line["event"] for line in logged] == ["client_rejected"]
    assert world.gate.client_paused
    world.gate.probed(ClientRejected("Still."))
    world.gate.probed(IssuerUnreachable("Away."))
    assert world.gate.standing().client_paused
    world.gate.probed(None)
    assert not world.gate.in_trouble
    await world.pass_through()


async def test_one_grants_refusal_in_the_clients_name_closes_nothing(
    logged: list[EventDict],
) -> None:
    """Some issuers say so of a person; a probe is wanted, which alone can tell."""
    world = GateWorld(WIDE)
    for _ in range(9):
        world.gate.note(REJECTED, key(1))
    assert world.gate.in_trouble
    assert world.gate.client_in_doubt
    await world.pass_through(2)
    world.gate.note(REJECTED, key(3))
    assert not world.gate.standing().client_paused
    assert logged == []
    world.gate.probed(ClientRejected("Indeed."))
    assert world.gate.client_paused


async def test_trouble_is_told_when_it_begins_and_not_after_it_ended() -> None:
    """So that nobody needs to look while all is well."""
    world = GateWorld(WIDE)
    told = world.start(world.gate.trouble())
    await world.settle()
    assert not told.done()
    world.gate.note(REJECTED)
    await world.settle()
    assert told.done()
    world.gate.probed(None)
    again = world.start(world.gate.trouble())
    await world.settle()
    assert not again.done()
    again.cancel()


async def test_too_many_dead_close_it_but_for_one_a_minute() -> None:
    """That one, too, is let in by whoever comes, and is not believed."""
    world = GateWorld(WIDE)
    for number in range(6):
        assert world.gate.believes_dead()
        await world.pass_through(number, DEAD)
    assert not world.gate.believes_dead()
    assert world.gate.standing().braked
    with pytest.raises(IssuerSpared, match="not believed"):
        await world.pass_through()
    await world.clock.pass_time(60)
    await world.pass_through(9, DEAD)
    with pytest.raises(IssuerSpared):
        world.gate.check()
    assert world.gate.counts() == IssuerCount(refreshes=7, dead=7)


async def test_the_gates_of_two_issuers_have_nothing_to_do_with_each_other() -> None:
    """One issuer's trouble delays no other."""
    world = GateWorld(WIDE, names=(ISSUER, "atlas"))
    await world.open_breaker()
    world.gates.of("atlas").check()
    assert list(world.gates) == [ISSUER, "atlas"]
    assert world.gates["atlas"] is world.gates.of("atlas")
    assert len(world.gates) == 2


async def test_an_issuer_that_is_not_served_has_no_gate() -> None:
    """It was taken out of the settings, and its grants are still there."""
    with pytest.raises(NotFound, match="not served here any more"):
        GateWorld().gates.of("gone")


async def test_an_issuer_without_limits_has_the_usual_ones() -> None:
    """Sixteen places for all, one kept free."""
    world = GateWorld()
    for number in range(20):
        world.start(world.pass_through(number, seconds=1.0))
    await world.clock.pass_time(0.9)
    assert world.gate.standing().in_flight == IssuerLimits().at_once - 1
    await world.clock.pass_time(3)


@pytest.mark.slow
@given(
    at_once=st.integers(4, 10),
    joins=st.lists(st.floats(0, 30), min_size=1, max_size=3),
    seconds=st.floats(0.1, 60),
)
def test_replicas_behind_their_gates_keep_the_limit_together(
    at_once: int, joins: list[float], seconds: float
) -> None:
    """Each is seen by the others before the next one joins."""

    async def story() -> None:
        clock = FakeClock()
        worlds: list[GateWorld] = []
        limits = IssuerLimits(per_second=1e6, at_once=at_once)

        def inside() -> int:
            return sum(world.gate.standing().in_flight for world in worlds)

        for pause in joins:
            world = GateWorld(limits, clock=clock)
            worlds.append(world)
            world.place(rank=len(worlds) - 1, count=len(worlds), newcomer=True)
            for number in range(2 * at_once):
                world.start(world.pass_through(number, ANSWERED, seconds))
            await clock.pass_time(9)
            assert inside() <= at_once
            for rank, one in enumerate(worlds):
                one.place(rank=rank, count=len(worlds))
            await clock.pass_time(6 + pause)
            world.place(newcomer=False)
            assert inside() <= at_once
            await clock.pass_time(130)
            assert inside() <= at_once
        await clock.pass_time(2 * at_once * 61)
        assert inside() == 0

    asyncio.run(story())


async def test_an_exchange_is_no_verdict_on_anybodys_login() -> None:
    """It shows that the issuer is there; neither the brake nor the client's standing moves by it."""
    world = GateWorld(WIDE)
    world.gate.note(REJECTED, key(1))
    world.gate.note(ANSWERED, key(2), verdict=False)
    assert world.gate.client_in_doubt
    assert world.gate.counts() == IssuerCount()
    for number in range(3):
        world.gate.note(SILENT, key(number), verdict=False)
    assert world.gate.standing().phase is Phase.OPEN


async def test_a_gate_tells_for_how_long_it_has_seen_nothing_but_failures() -> None:
    """By refreshes and probes; a sound answer to either ends it."""
    world, away = GateWorld(), IssuerUnreachable("Connection refused.")
    world.gate.note(away)
    for _ in range(2):
        world.clock.advance(100)
        world.gate.probed(away)
    assert world.gate.counts().failing_seconds == 200
    world.clock.advance(50)
    world.gate.probed(None)
    assert world.gate.counts().failing_seconds == 0
    world.gate.probed(away)
    world.clock.advance(50)
    world.gate.probed(away)
    world.gate.note(DEAD)
    assert world.gate.failing.first_at is None
