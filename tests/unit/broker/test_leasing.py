"""A lease is recognised, made narrower, and ended with all that was made from it."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace

import pytest

from credbroker.broker.containing import SILENT_SECONDS
from credbroker.broker.leasing import PACE, Caller
from credbroker.broker.storing import TRIES
from credbroker.broker.turns import LONGEST_WAIT_SECONDS
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    AuditUnavailable,
    LeaseEnded,
    LeaseUnknown,
    NotAllowed,
    OutsideCeiling,
    StoreUnavailable,
    StoreUnclear,
    TooManyRequests,
)
from credbroker.domain.leases import DEEPEST, LeaseToken
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.world import DAY, LINE, ORIGIN, READ, Replica, World

AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
WRITE = Right(ScopeSet.parse("storage.create:/home"))


async def settled_world() -> tuple[World, Replica, LeaseToken, Caller]:
    """Return a world with one replica and a person's lease."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    token, caller = await world.give_lease(replica)
    return world, replica, token, caller


async def job_of(
    replica: Replica, caller: Caller, right: Right = READ, seconds: float = DAY
) -> tuple[LeaseToken, Caller]:
    """Make a job's lease and return its token and caller."""
    token, lease = await replica.leasing.make_child(caller, right, job="job-1", seconds=seconds)
    return token, Caller(lease, ORIGIN)


async def test_whoever_shows_the_token_is_recognised_by_every_replica() -> None:
    """By its hash; the record does not hold it."""
    world, replica, token, caller = await settled_world()
    for one in (replica, world.replica("another")):
        assert (await one.leasing.identify(token, ORIGIN)).lease == caller.lease
    assert token.secret.reveal() not in str(world.leases.history)


async def test_the_right_id_with_another_secret_is_unknown() -> None:
    """Knowing an id from a log is worth nothing."""
    _, replica, token, _ = await settled_world()
    forged = LeaseToken(token.id, Secret("lease", "x" * 43))
    with pytest.raises(LeaseUnknown):
        await replica.leasing.identify(forged, ORIGIN)
    assert (await replica.leasing.identify(token, ORIGIN)).fresh


async def test_an_unknown_lease_is_unknown_only_by_the_stores_word() -> None:
    """While the store is away nobody is told to log in again."""
    world, replica, _, _ = await settled_world()
    stranger = replica.leasing.new_token()
    world.leases.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await replica.leasing.identify(stranger, ORIGIN)
    with pytest.raises(LeaseUnknown) as caught:
        await replica.leasing.identify(stranger, ORIGIN)
    assert "permission denied" not in str(caught.value).lower()


async def test_a_lease_runs_out_on_the_second() -> None:
    """Though it is remembered."""
    world, replica, token, caller = await settled_world()
    left = (caller.lease.ends_at - world.clock.now()).total_seconds()
    world.clock.advance(left - 1)
    assert (await replica.leasing.identify(token, ORIGIN)).lease == caller.lease
    world.clock.advance(1)
    with pytest.raises(LeaseEnded):
        await replica.leasing.identify(token, ORIGIN)


async def test_an_end_is_noticed_here_at_once_and_elsewhere_with_the_next_reading() -> None:
    """With no word between the replicas."""
    world, replica, token, caller = await settled_world()
    other = world.replica("other")
    await other.leasing.identify(token, ORIGIN)
    await replica.leasing.end(caller)
    with pytest.raises(LeaseEnded):
        await replica.leasing.identify(token, ORIGIN)
    await other.engine.containing.read()
    with pytest.raises(LeaseEnded):
        await other.leasing.identify(token, ORIGIN)


async def test_while_the_store_is_away_a_known_lease_is_marked_as_not_confirmed() -> None:
    """Good for what is held, not for fetching; so is a job's lease below it."""
    world, replica, token, caller = await settled_world()
    job_token, _ = await job_of(replica, caller)
    assert (await replica.leasing.identify(job_token, ORIGIN)).fresh
    world.clock.advance(SILENT_SECONDS)
    for known in (token, job_token):
        assert not (await replica.leasing.identify(known, ORIGIN)).fresh


async def test_a_jobs_lease_is_confirmed_only_if_its_parent_is() -> None:
    """This replica knows the job's lease and has never met the person's."""
    world, replica, _, caller = await settled_world()
    job_token, _ = await job_of(replica, caller)
    other = world.replica("other")
    other.leasing._recall.learn(job_token.id, world.leases.newest(job_token.id))
    world.leases.fail_next(AWAY)
    with pytest.raises(StoreUnavailable):
        await other.leasing.identify(job_token, ORIGIN)
    assert (await other.leasing.identify(job_token, ORIGIN)).fresh


async def test_a_jobs_lease_ends_with_its_parent() -> None:
    """Incident response: end the person's lease, and every job's is over."""
    world, replica, _, caller = await settled_world()
    job_token, _ = await job_of(replica, caller)
    other = world.replica("other")
    await other.leasing.identify(job_token, ORIGIN)
    await replica.leasing.end(caller)
    await other.engine.containing.read()
    for one in (replica, other):
        with pytest.raises(LeaseEnded):
            await one.leasing.identify(job_token, ORIGIN)


async def test_a_jobs_lease_whose_parent_is_gone_is_unknown() -> None:
    """No parent, no right."""
    world, replica, _, caller = await settled_world()
    job_token, _ = await job_of(replica, caller)
    del world.leases._newest[caller.lease.id]
    with pytest.raises(LeaseUnknown):
        await world.replica("other").leasing.identify(job_token, ORIGIN)


async def test_ending_a_jobs_lease_leaves_the_person_and_other_jobs_alone() -> None:
    """One job that leaked its token is one job."""
    _, replica, token, caller = await settled_world()
    first, job = await job_of(replica, caller)
    second, _ = await job_of(replica, caller)
    await replica.leasing.end(job)
    with pytest.raises(LeaseEnded):
        await replica.leasing.identify(first, ORIGIN)
    for alive in (token, second):
        assert (await replica.leasing.identify(alive, ORIGIN)).fresh


@pytest.mark.parametrize(
    ("wish_days", "end_days"), [(0.5, 0.5), (3, 1), (1, 1)], ids=["shorter", "longest job", "equal"]
)
async def test_a_jobs_lease_lasts_as_long_as_wished_and_allowed(
    wish_days: float, end_days: float
) -> None:
    """The operator's longest job is a day here."""
    world, replica, _, caller = await settled_world()
    _, job = await job_of(replica, caller, seconds=wish_days * DAY)
    assert job.lease.ends_at == world.clock.now() + datetime.timedelta(days=end_days)


async def test_a_jobs_lease_ends_no_later_than_its_parent() -> None:
    """An hour before the login ends, a job can have an hour."""
    world, replica, _, caller = await settled_world()
    world.clock.advance(7 * DAY - 3600)
    _, job = await job_of(replica, caller)
    assert job.lease.ends_at == caller.lease.ends_at


async def test_a_jobs_lease_cannot_make_a_wider_one_nor_a_long_row_of_them() -> None:
    """Neither another scope, nor another audience, nor children without end."""
    _, replica, _, caller = await settled_world()
    read_se = Right(READ.scopes, ("https://se.test/",))
    _, job = await job_of(replica, caller, read_se)
    for right in (WRITE, READ, Right(READ.scopes, ("https://elsewhere.test/",))):
        with pytest.raises(OutsideCeiling):
            await job_of(replica, job, right)
    narrower = Right(ScopeSet.parse("storage.read:/x"), ("https://se.test/",))
    step = job
    for _ in range(DEEPEST - 2):
        _, step = await job_of(replica, step, narrower)
    with pytest.raises(NotAllowed):
        await job_of(replica, step, narrower)


async def test_a_shorter_lease_reaches_as_far_and_registers_no_keys() -> None:
    """It is made for who asks, from where; it ends with the one that it was made from."""
    _, replica, _, caller = await settled_world()
    parent = replace(caller.lease, subject="sub-ada", registers=True, origin="192.0.2.200")
    caller = replace(caller, lease=parent)
    token, made = await replica.leasing.shorten(caller, 3600.0)
    assert (made.key, made.line, made.ceiling, made.job) == (parent.key, LINE, parent.ceiling, None)
    assert (made.subject, made.registers, made.origin) == ("sub-ada", False, ORIGIN.address)
    assert made.ends_at == made.created_at + datetime.timedelta(hours=1)
    assert (await replica.leasing.identify(token, ORIGIN)).lease == made
    await replica.leasing.end(caller)
    with pytest.raises(LeaseEnded):
        await replica.leasing.identify(token, ORIGIN)


@pytest.mark.parametrize("seconds", [None, 1e12])
async def test_no_wish_outlasts_the_lease_that_a_shorter_one_is_made_from(
    seconds: float | None,
) -> None:
    """Nor does none at all."""
    _, replica, _, caller = await settled_world()
    _, made = await replica.leasing.shorten(caller, seconds)
    assert made.ends_at == caller.lease.ends_at


async def test_a_lease_that_a_ticket_or_a_key_opens_reaches_its_own_grant_alone() -> None:
    """Nobody logged in at the issuer for it, so it has no subject and registers no keys."""
    _, replica, _, caller = await settled_world()
    key = caller.lease.key
    token, lease = await replica.leasing.open(key, LINE, "", 60.0, ORIGIN)
    assert (await replica.leasing.identify(token, ORIGIN)).lease == lease
    assert (lease.key, lease.is_login, lease.registers) == (key, True, False)
    assert (lease.ends_at - lease.created_at).total_seconds() == 60.0
    assert not lease.may_reach(replace(key, credkey=f"{key.credkey}/cron/host"))


@pytest.mark.parametrize("taken", [False, True])
async def test_a_lease_whose_storing_got_no_answer_is_known_or_not_there(taken: bool) -> None:
    """Nobody gets a token for a lease that does not exist."""
    world, replica, _, caller = await settled_world()
    before = len(world.leases.history)
    for _ in range(1 if taken else TRIES):
        world.leases.fail_next(StoreUnclear("No answer."), acted=taken, on="put")
    if taken:
        token, _ = await job_of(replica, caller)
        assert (await world.replica("other").leasing.identify(token, ORIGIN)).fresh
    else:
        with pytest.raises(StoreUnavailable):
            await job_of(replica, caller)
        assert len(world.leases.history) == before


async def test_without_a_trail_no_job_gets_a_lease() -> None:
    """The token of the one that was stored leaves nobody's hands."""
    world, replica, _, caller = await settled_world()
    world.audit.refused.add("lease_made")
    with pytest.raises(AuditUnavailable):
        await job_of(replica, caller)


async def test_an_id_cannot_be_taken_twice() -> None:
    """A second lease under an id would open the first one's door."""
    _, replica, _, caller = await settled_world()
    thief = replace(caller.lease, secret_hash="0" * 64)
    with pytest.raises(LeaseUnknown):
        await replica.leasing.begin(thief)
    await replica.leasing.begin(caller.lease)  # the same again changes nothing


async def test_ending_is_written_once_whoever_else_writes() -> None:
    """Two replicas at once, an answer lost: the first end stays."""
    world, replica, _, caller = await settled_world()
    world.leases.fail_next(StoreUnclear("No answer."), acted=True, on="put")
    await replica.leasing.end(caller)
    first = world.leases.newest(caller.lease.id).ended_at
    world.clock.advance(60)
    await world.replica("other").leasing.end(caller)
    assert world.leases.newest(caller.lease.id).ended_at == first


async def test_the_trail_links_a_job_to_its_person_and_holds_no_secret() -> None:
    """By lease, line and job."""
    world, replica, token, caller = await settled_world()
    job_token, job = await job_of(replica, caller)
    line = world.audit.last("lease_made")
    assert (line["lease"], line["child"], line["for_job"]) == (token.id, job.lease.id, "job-1")
    assert job.lease.line == LINE
    assert job_token.secret.reveal() not in str(world.audit.lines)


async def test_a_submission_gets_all_its_leases_at_once_and_no_line_fills_the_store() -> None:
    """Whoever goes on waits for a turn, then is sent away, whichever lease of the line is shown."""
    world, replica, _, caller = await settled_world()
    for _ in range(PACE.burst - 1):
        await job_of(replica, caller)
    world.clock.advance(0.1)  # off the steps of the pace, which no sum of fractions hits
    token, _ = await replica.leasing.shorten(caller)
    shorter = await replica.leasing.identify(token, ORIGIN)
    late = [
        asyncio.ensure_future(job_of(replica, shorter))
        for _ in range(int(PACE.per_second * LONGEST_WAIT_SECONDS))
    ]
    await turns()
    stored = len(world.leases.history)
    for one in (caller, shorter):
        with pytest.raises(TooManyRequests, match="too often"):
            await job_of(replica, one)
        with pytest.raises(TooManyRequests):
            await replica.leasing.shorten(one)
    assert not any(one.done() for one in late)
    await world.clock.pass_time(LONGEST_WAIT_SECONDS + 1)
    await asyncio.gather(*late)
    assert len(world.leases.history) == stored + len(late)


async def test_leases_made_too_often_hurt_no_other_line_and_no_login() -> None:
    """Neither another person, nor who logs in by ticket or key on the same line."""
    world, replica, _, caller = await settled_world()
    for _ in range(PACE.burst - 1):
        await job_of(replica, caller)
    bob = replace(caller, lease=replace(caller.lease, line="line-b"))
    await job_of(replica, bob)
    for _ in range(PACE.burst - 1):
        await replica.leasing.open(caller.lease.key, LINE, "", 60.0, ORIGIN)
    world.clock.advance(0.1)  # off the steps of the pace, which no sum of fractions hits
    await replica.leasing.open(caller.lease.key, LINE, "", 60.0, ORIGIN)
    stored = len(world.leases.history)
    late = asyncio.ensure_future(replica.leasing.open(caller.lease.key, LINE, "", 60.0, ORIGIN))
    await turns()
    assert len(world.leases.history) == stored
    world.clock.advance(1)
    await late


async def test_what_is_refused_costs_no_turn() -> None:
    """Here a right that the lease does not reach."""
    _, replica, _, caller = await settled_world()
    _, job = await job_of(replica, caller)
    for _ in range(PACE.burst):
        with pytest.raises(OutsideCeiling):
            await job_of(replica, job, WRITE)
    await job_of(replica, caller)
