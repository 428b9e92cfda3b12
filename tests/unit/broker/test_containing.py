"""A revocation holds at every replica within five seconds, and a lease in use costs no reading."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.typing import EventDict

from credbroker.broker.containing import (
    CONFIRMED_SECONDS,
    ENDED_KEPT_SECONDS,
    MISSED_SECONDS,
    READ_SECONDS,
    SILENT_SECONDS,
    Containing,
)
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.broker.running import Deeds, Means
from credbroker.domain.attenuation import Ceiling, Right
from credbroker.domain.errors import (
    ClientNotAllowed,
    LeaseEnded,
    NotFound,
    StoreUnavailable,
    StoreUnclear,
    TokenRefused,
)
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind, Revocations
from credbroker.domain.scopes import ScopeSet
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock, turns
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords
from tests.unit.things import seconds

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
WITHIN_SECONDS = 5.0
DAY = 86400.0
KEY = GrantKey("cms", "ada", "default")
HERE = Origin("192.0.2.7", "request-1")
READ = Right(ScopeSet.parse("storage.read:/"))


@dataclass
class Replica:
    """A broker process, as far as leases go."""

    leasing: Leasing
    containing: Containing

    async def knows(self, token: LeaseToken) -> bool:
        """Tell whether the lease counts here; it is fresh if it does."""
        try:
            return (await self.leasing.identify(token, HERE)).fresh
        except LeaseEnded:
            return False


@dataclass
class World:
    """What replicas share."""

    clock: FakeClock = field(default_factory=FakeClock)
    entropy: FakeEntropy = field(default_factory=FakeEntropy)
    audit: FakeAudit = field(default_factory=FakeAudit)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = MemoryRecords[Lease](self.clock)
        self.revocations = MemoryRecords[Revocations](self.clock)

    def quiet(self) -> Replica:
        """Start a replica that reads no marks by itself."""
        means = Means(self.audit, self.clock, self.entropy, Deeds(self.clock))
        containing = Containing(self.revocations, means)
        leasing = Leasing(self.leases, means, longest_job_seconds=DAY, containing=containing)
        return Replica(leasing, containing)

    async def replica(self) -> Replica:
        """Start a replica, which has read the marks."""
        one = self.quiet()
        self.tasks.append(asyncio.ensure_future(one.containing.run()))
        await turns()
        return one

    async def log_in(self, replica: Replica, **changes: Any) -> tuple[LeaseToken, Caller]:
        """Make somebody's lease for a week."""
        token, now = replica.leasing.new_token(), self.clock.now()
        fields: dict[str, Any] = {"key": KEY, "origin": HERE.address} | changes
        lease = Lease(
            id=token.id,
            secret_hash=token.secret_hash(),
            line="line-1",
            ceiling=Ceiling(),
            created_at=now,
            ends_at=now + datetime.timedelta(days=7),
            **fields,
        )
        await replica.leasing.begin(lease)
        return token, Caller(lease, HERE)

    async def done(self, deed: Any) -> Any:
        """Run a deed while time stands still."""
        task = asyncio.ensure_future(deed)
        await turns()
        assert task.done()
        return task.result()


@pytest.fixture
async def world() -> Any:
    """A world whose replicas end with the test."""
    made = World()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def job_of(replica: Replica, caller: Caller, job: str = "job 1") -> LeaseToken:
    """Make a job's lease and return its token."""
    token, _ = await replica.leasing.make_child(caller, READ, job=job, seconds=DAY)
    return token


# -- what holds where, and how soon ----------------------------------------------------------------

NAMES: dict[Kind, Callable[[Caller], str]] = {
    Kind.LEASE: lambda caller: caller.lease.id,
    Kind.PERSON: lambda _: "cms/ada",
    Kind.JOB: lambda _: "job 1",
    Kind.HOST: lambda _: HERE.address,
    Kind.ISSUER: lambda _: "cms",
}


@pytest.mark.parametrize("kind", NAMES)
async def test_each_kind_holds_at_every_replica_within_five_seconds(
    world: World, kind: Kind
) -> None:
    """All have just served the job's lease; its parent is judged with it."""
    replicas = [await world.replica() for _ in range(3)]
    _, caller = await world.log_in(replicas[0])
    token = await job_of(replicas[0], caller)
    for one in replicas:
        assert await one.knows(token)
    await world.quiet().containing.revoke(kind, NAMES[kind](caller))
    await world.clock.pass_time(WITHIN_SECONDS)
    for one in replicas:
        assert not await one.knows(token)


@pytest.mark.parametrize("kind", [kind for kind in NAMES if kind is not Kind.LEASE])
async def test_who_comes_back_a_minute_later_goes_on(world: World, kind: Kind) -> None:
    """By then no clock that is ahead can have dated an old lease past the mark."""
    replica = await world.replica()
    _, caller = await world.log_in(replica)
    await world.quiet().containing.revoke(kind, NAMES[kind](caller))
    await world.clock.pass_time(CLOCKS_OFF_SECONDS)
    _, again = await world.log_in(replica)
    assert await replica.knows(await job_of(replica, again))


async def test_a_lease_that_was_ended_is_over_elsewhere_within_five_seconds(world: World) -> None:
    """With those made from it; here at once."""
    here, there = await world.replica(), await world.replica()
    token, caller = await world.log_in(here)
    job = await job_of(here, caller)
    for one in (here, there):
        assert await one.knows(token)
        assert await one.knows(job)
    await here.leasing.end(caller)
    assert not await here.knows(token)
    assert not await here.knows(job)
    await world.clock.pass_time(WITHIN_SECONDS)
    assert not await there.knows(token)
    assert not await there.knows(job)


async def test_an_end_outlasts_its_mark(world: World) -> None:
    """The mark goes after minutes, from the record and from memory; the lease stays over."""
    here, there = await world.replica(), await world.replica()
    token, caller = await world.log_in(here)
    assert await there.knows(token)
    await here.leasing.end(caller)
    await world.clock.pass_time(ENDED_KEPT_SECONDS + 1)
    _, other = await world.log_in(here)
    await here.leasing.end(other)
    assert set(world.revocations.newest(Kind.LEASE.value).marks) == {other.lease.id}
    await world.clock.pass_time(WITHIN_SECONDS)
    for one in (here, there):
        assert not await one.knows(token)


async def test_a_read_that_was_on_its_way_brings_no_ended_lease_back(world: World) -> None:
    """It was sent before the end and comes in after the mark."""
    here, there = await world.replica(), await world.replica()
    token, caller = await world.log_in(here)
    slow = asyncio.Event()
    read = world.leases.get

    async def slowly(segment: str) -> Any:
        found = await read(segment)
        await slow.wait()
        return found

    world.leases.get = slowly  # type: ignore[method-assign]  # stands in for the fake's own
    asking = asyncio.ensure_future(there.leasing.identify(token, HERE))
    await turns()
    world.leases.get = read  # type: ignore[method-assign]  # as it was
    await here.leasing.end(caller)
    await world.clock.pass_time(WITHIN_SECONDS)
    slow.set()
    with pytest.raises(LeaseEnded):
        await asking
    del world.revocations._newest[Kind.LEASE.value]
    await world.clock.pass_time(WITHIN_SECONDS)
    assert not await there.knows(token)


async def test_what_is_lifted_counts_again_and_what_was_ended_does_not(world: World) -> None:
    """An operator contained the wrong person, of whom one lease had been ended before."""
    replica, operator = await world.replica(), world.quiet()
    token, _ = await world.log_in(replica)
    gone, caller = await world.log_in(replica)
    await replica.leasing.end(caller)
    for kind, name in [(Kind.PERSON, "cms/ada"), (Kind.LEASE, token.id), (Kind.LEASE, gone.id)]:
        await operator.containing.revoke(kind, name)
    await world.clock.pass_time(WITHIN_SECONDS)
    assert not await replica.knows(token)
    for kind, name in [(Kind.PERSON, "cms/ada"), (Kind.LEASE, token.id), (Kind.LEASE, gone.id)]:
        await operator.containing.lift(kind, name)
    await world.clock.pass_time(WITHIN_SECONDS)
    assert await replica.knows(token)
    assert not await replica.knows(gone)
    with pytest.raises(NotFound):
        await operator.containing.lift(Kind.PERSON, "cms/ada")


# -- what it costs ---------------------------------------------------------------------------------


async def test_a_thousand_reads_by_one_lease_cost_no_call_beyond_those_for_the_marks(
    world: World,
) -> None:
    """For a minute, a job's lease and its parent."""
    replica = await world.replica()
    _, caller = await world.log_in(replica)
    token = await job_of(replica, caller)
    assert await replica.knows(token)
    leases_read, marks_read = world.leases.reads, world.revocations.reads
    for _ in range(1000):
        assert await replica.knows(token)
        await replica.leasing.confirm(await replica.leasing.identify(token, HERE))
        await world.clock.pass_time(0.06)
    assert world.leases.reads == leases_read
    assert world.revocations.reads - marks_read <= len(Kind) * 60 / (0.75 * READ_SECONDS) + 5


async def test_leases_that_end_at_once_are_marked_at_once(world: World) -> None:
    """A hundred jobs are over: their marks take two writes, not a hundred."""
    replica = await world.replica()
    _, caller = await world.log_in(replica)
    jobs = [await job_of(replica, caller, f"job {at}") for at in range(100)]
    callers = [await replica.leasing.identify(job, HERE) for job in jobs]
    await asyncio.gather(*(replica.leasing.end(one) for one in callers))
    assert len(world.revocations.history) <= 2
    assert set(world.revocations.newest(Kind.LEASE.value).marks) == {job.id for job in jobs}


async def test_two_replicas_that_mark_at_once_lose_no_mark(world: World) -> None:
    """Each writes into what the other wrote."""
    pair = [await world.replica(), await world.replica()]
    callers = [(await world.log_in(one))[1] for one in pair for _ in range(5)]
    await asyncio.gather(*(pair[at % 2].leasing.end(one) for at, one in enumerate(callers)))
    found = world.revocations.newest(Kind.LEASE.value).marks
    assert set(found) == {one.lease.id for one in callers}


# -- while the store is away -----------------------------------------------------------------------


async def test_after_thirty_seconds_without_marks_nobody_may_fetch(world: World) -> None:
    """The lease is still known, for what is held; it may again after the next reading."""
    replica = await world.replica()
    token, caller = await world.log_in(replica)
    get = world.revocations.get

    async def refuse(segment: str) -> Any:
        raise AWAY

    world.revocations.get = refuse  # type: ignore[method-assign]  # away for as long as it takes
    await world.clock.pass_time(SILENT_SECONDS - 2 * READ_SECONDS)
    assert (await replica.leasing.identify(token, HERE)).fresh
    await world.clock.pass_time(2 * READ_SECONDS)
    assert not (await replica.leasing.identify(token, HERE)).fresh
    with pytest.raises(StoreUnavailable):
        await replica.leasing.confirm(caller)
    world.revocations.get = get  # type: ignore[method-assign]  # it is back
    await world.done(replica.leasing.confirm(caller))
    assert (await replica.leasing.identify(token, HERE)).fresh


async def test_who_needs_the_stores_word_gets_none_from_before_it_fell_silent(
    world: World,
) -> None:
    """Leases still count as fresh then, so that a leader's change is nothing to anybody."""
    replica = await world.replica()
    token, caller = await world.log_in(replica)
    for _ in range(10 * len(Kind)):
        world.revocations.fail_next(AWAY)
    await world.clock.pass_time(2 * READ_SECONDS + CONFIRMED_SECONDS)
    assert (await replica.leasing.identify(token, HERE)).fresh
    with pytest.raises(StoreUnavailable):
        await replica.leasing.confirm(caller)


async def test_a_replica_that_has_just_started_fetches_nothing_before_it_has_read_the_marks(
    world: World,
) -> None:
    """Who waits for a fetch has them read, and is judged by them."""
    token, caller = await world.log_in(world.quiet())
    await world.quiet().containing.revoke(Kind.PERSON, "cms/ada")
    newcomer = world.quiet()
    assert not (await newcomer.leasing.identify(token, HERE)).fresh
    with pytest.raises(LeaseEnded):
        await newcomer.leasing.confirm(caller)


async def test_a_caller_waits_for_the_marks_no_longer_than_for_anything(world: World) -> None:
    """A store that hangs is one that is away."""
    replica = world.quiet()
    _, caller = await world.log_in(replica)
    world.revocations.get_seconds = 4.0
    waiting = asyncio.ensure_future(replica.containing.confirm(3.0))
    await world.clock.pass_time(3.0)
    with pytest.raises(StoreUnavailable, match="in time"):
        await waiting
    await world.clock.pass_time(1.0)
    await world.done(replica.leasing.confirm(caller))


async def test_an_answer_that_was_on_its_way_for_too_long_confirms_nothing(world: World) -> None:
    """It says what was so when it was asked for."""
    replica = world.quiet()
    world.revocations.get_seconds = SILENT_SECONDS
    under_way = asyncio.ensure_future(replica.containing.read(60.0))
    await world.clock.pass_time(SILENT_SECONDS - 5.0)
    waiting = asyncio.ensure_future(replica.containing.confirm(9.0))
    await world.clock.pass_time(5.0)
    await under_way
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_who_may_have_missed_marks_reads_every_lease_again(world: World) -> None:
    """Cut off for longer than marks of ended leases are kept; held tokens are served till then."""
    here, cut_off = await world.replica(), world.quiet()
    await world.done(cut_off.containing.read())
    token, caller = await world.log_in(here)
    assert await cut_off.knows(token)
    await here.leasing.end(caller)
    del world.revocations._newest[Kind.LEASE.value]
    await world.clock.pass_time(MISSED_SECONDS + 1)
    assert not (await cut_off.leasing.identify(token, HERE)).fresh
    await world.done(cut_off.containing.read())
    assert not await cut_off.knows(token)


async def test_a_mark_that_found_no_way_into_the_store_is_written_with_the_next_reading(
    world: World,
) -> None:
    """The caller hears that it may not hold everywhere yet."""
    here, there = await world.replica(), await world.replica()
    token, caller = await world.log_in(here)
    assert await there.knows(token)
    world.revocations.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await here.leasing.end(caller)
    assert not await here.knows(token)
    await world.clock.pass_time(2 * WITHIN_SECONDS)
    assert not await there.knows(token)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_mark_whose_writing_got_no_answer_is_there(world: World, taken: bool) -> None:
    """Once, or after a second try."""
    operator, replica = world.quiet(), await world.replica()
    token, _ = await world.log_in(replica)
    world.revocations.fail_next(StoreUnclear("No answer."), acted=taken, on="put")
    await operator.containing.revoke(Kind.ISSUER, "cms")
    await world.clock.pass_time(WITHIN_SECONDS)
    assert not await replica.knows(token)


async def test_a_store_that_hangs_for_ever_does_not_hold_a_round_up(world: World) -> None:
    """So the watchdog is fed: at most a minute lies between two rounds that are over."""
    replica = await world.replica()
    world.revocations.get_seconds = 30 * DAY
    for _ in range(10):
        before = replica.containing.rounds
        await world.clock.pass_time(40)
        assert replica.containing.rounds > before


async def test_that_marks_are_not_read_is_logged_once(
    world: World, logged: list[EventDict]
) -> None:
    """Not with every try."""
    for _ in range(3):
        world.revocations.fail_next(AWAY)
    await world.replica()
    await world.clock.pass_time(60.0)
    assert [line["event"] for line in logged] == ["revocations_not_read"]


async def test_the_trail_tells_who_was_contained(world: World) -> None:
    """And that it was lifted."""
    operator = world.quiet()
    over = await operator.containing.revoke(Kind.HOST, "192.0.2.7")
    await operator.containing.lift(Kind.HOST, "192.0.2.7")
    line = world.audit.last("contained")
    assert (line["kind"], line["name"], line["before"]) == ("host", "192.0.2.7", over)
    assert world.audit.events() == ["contained", "containment_lifted"]


async def test_what_we_signed_ends_at_every_replica_within_five_seconds(world: World) -> None:
    """One token by its `jti`, or all of a client of ours from before its mark, and the client itself."""
    one, other = await world.replica(), await world.replica()
    signed_at = world.clock.now()
    await one.containing.end_signed("jti-1", signed_at + seconds(3600))
    await one.containing.revoke(Kind.CLIENT, "dteam/rucio")
    await world.clock.pass_time(WITHIN_SECONDS)
    other.containing.judge_signed("dteam", ("fts", "fts"), "jti-2", signed_at)
    other.containing.judge_client("dteam", "fts")
    for names, jti in ((("fts", "fts"), "jti-1"), (("fts", "rucio"), "jti-2")):
        with pytest.raises(TokenRefused):
            other.containing.judge_signed("dteam", names, jti, signed_at)
    with pytest.raises(ClientNotAllowed):
        other.containing.judge_client("dteam", "rucio")


async def test_tokens_that_services_revoked_are_not_listed_as_contained(world: World) -> None:
    """They are forgotten when they would have expired; what an operator contained is listed."""
    replica = world.quiet()
    now = world.clock.now()
    await replica.containing.end_signed("jti-1", now + seconds(7 * 86400))
    await replica.containing.revoke(Kind.TOKEN, "jti-2")
    assert list((await replica.containing.contained())[Kind.TOKEN]) == ["jti-2"]
    world.clock.advance(7 * 86400.0)
    await replica.containing.end_signed("jti-3", world.clock.now() + seconds(60))
    assert set(world.revocations.newest(Kind.TOKEN.value).marks) == {"jti-2", "jti-3"}


async def test_what_a_replaced_broker_could_not_write_is_written_by_who_replaced_it(
    world: World,
) -> None:
    """An end that was promised is told to the other replicas, though settings changed meanwhile."""
    before, after, there = world.quiet(), await world.replica(), await world.replica()
    token, caller = await world.log_in(before)
    assert await there.knows(token)
    world.revocations.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await before.leasing.end(caller)
    after.containing.owe_for(before.containing)
    await world.clock.pass_time(2 * WITHIN_SECONDS)
    assert not await there.knows(token)
