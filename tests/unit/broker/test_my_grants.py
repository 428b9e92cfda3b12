"""Everybody sees what is theirs, all of it and nothing else, and ends it by their own word."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker import leases_on
from credbroker.broker.walking import READS_AT_ONCE
from credbroker.domain.confirming import new_line
from credbroker.domain.errors import LeaseEnded, Malformed, NotFound, RecordDamaged
from credbroker.domain.grants import GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey
from credbroker.domain.revocations import Kind
from credbroker.ports import Stored
from tests.unit.broker.confirming_world import ADA
from tests.unit.broker.visit_world import VisitWorld
from tests.unit.broker.world import ISSUER, KEY, ORIGIN, ROLE, SEGMENT

NAMESAKE = {"sub": "sub-other", "wlcg.credkey": "ada"}
BOB = {"sub": "sub-bob", "wlcg.credkey": "bob"}


async def test_a_grant_is_shown_with_the_leases_that_live_on_it() -> None:
    """The newest first; those of other lines, and what is over, are not among them."""
    around = VisitWorld()
    await around.world.give_grant()
    login = await around.lease()
    around.world.clock.advance(1)
    job, over = await around.job(login), await around.lease()
    await around.replica.leasing.end(over)
    below = await around.job(over, "job-2")
    await around.lease(line="line-before")
    found = await around.deeds.my_grants.belongings(await around.visitor())
    (held,) = found.grants
    assert held.grant.key == KEY
    assert [one.id for one in held.leases] == [job.id, login.lease.id]
    assert below.id not in {one.id for one in held.leases}
    assert not held.more


async def test_leases_of_logins_that_their_client_polled_are_shown() -> None:
    """Their ids are older than their line: the grant remembers those of this login and before."""
    around = VisitWorld()
    for value in ("first", "second"):
        caller = (await around.world.give_lease(around.replica))[1]
        if value == "first":
            await around.world.give_grant()
            await around.world.rewrite(login_id=caller.lease.id)
        else:
            earlier = (around.world.grant.login_id,)
            await around.world.rewrite(login_id=caller.lease.id, earlier_logins=earlier)
    (held,) = (await around.deeds.my_grants.belongings(await around.visitor())).grants
    assert len(held.leases) == 2


async def test_more_leases_than_can_be_looked_at_are_said_to_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that nobody takes the list for the whole."""
    monkeypatch.setattr(leases_on, "MOST_LEASES", 2)
    around = VisitWorld()
    await around.world.give_grant()
    for _ in range(3):
        await around.lease()
    (held,) = (await around.deeds.my_grants.belongings(await around.visitor())).grants
    assert (len(held.leases), held.more) == (2, True)


async def test_pages_loaded_over_and_over_leave_the_store_to_others() -> None:
    """All of them together read a few leases at a time, and each comes to its end."""
    around = VisitWorld()
    world = around.world
    await world.give_grant()
    for _ in range(40):
        await around.lease()
    visitor = await around.visitor()
    get, now, most = world.leases.get, 0, 0

    async def counted(segment: str) -> Stored[Lease] | None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        found = await get(segment)
        now -= 1
        return found

    world.leases.get = counted  # type: ignore[method-assign]  # stands in for the fake's own
    pages = await asyncio.gather(*(around.deeds.my_grants.belongings(visitor) for _ in range(20)))
    assert {len(page.grants[0].leases) for page in pages} == {40}
    assert most <= READS_AT_ONCE


async def test_a_contained_job_is_not_shown_as_alive() -> None:
    """It is over, whatever its record says."""
    around = VisitWorld()
    await around.world.give_grant()
    await around.job(await around.lease(), "mined")
    await around.replica.engine.containing.revoke(Kind.JOB, "mined")
    (held,) = (await around.deeds.my_grants.belongings(await around.visitor())).grants
    assert [one.job for one in held.leases] == [None]


async def test_somebody_else_under_the_same_identity_key_sees_and_ends_nothing() -> None:
    """The issuer's `sub` decides; each try is in the trail."""
    around = VisitWorld()
    await around.world.give_grant()
    caller, fingerprint = await around.lease(), await around.ssh_key()
    deeds = around.deeds.my_grants
    for claims in (NAMESAKE, BOB):
        visitor = await around.visitor(claims)
        found = await deeds.belongings(visitor)
        assert not found.grants
        assert not found.ssh_keys
        for tried in (
            deeds.end_lease(visitor, caller.lease.id, ORIGIN),
            deeds.log_out(visitor, KEY, ORIGIN),
            deeds.grant(visitor, KEY, ORIGIN),
            deeds.remove_ssh_key(visitor, fingerprint, ORIGIN),
        ):
            with pytest.raises(NotFound, match="of yours"):
                await tried
            line = around.world.audit.last("refused")
            assert (line["visit"], line["request_id"]) == (visitor.visit, "request-1")
    assert around.world.grant.state is GrantState.READY
    assert around.world.leases.newest(caller.lease.id).ended_at is None


async def test_a_lease_is_ended_with_what_was_made_from_it() -> None:
    """The trail says by whom, from where."""
    around = VisitWorld()
    await around.world.give_grant()
    login = await around.lease()
    await around.job(login)
    visitor = await around.visitor()
    await around.deeds.my_grants.end_lease(visitor, login.lease.id, ORIGIN)
    assert around.world.leases.newest(login.lease.id).ended_at is not None
    line = around.world.audit.last("lease_ended")
    assert (line["lease"], line["visit"]) == (login.lease.id, visitor.visit)
    assert (line["address"], line["request_id"]) == (ORIGIN.address, ORIGIN.request_id)
    (held,) = (await around.deeds.my_grants.belongings(visitor)).grants
    assert not held.leases


@pytest.mark.parametrize("lease_id", ["", "../grants/x", "A" * 23, "A" * 22])
async def test_what_is_no_lease_is_not_ended(lease_id: str) -> None:
    """Nothing that somebody typed reaches a path but in the form of an id."""
    around = VisitWorld()
    with pytest.raises((Malformed, NotFound)):
        await around.deeds.my_grants.end_lease(await around.visitor(), lease_id, ORIGIN)


async def test_a_grant_is_revoked_at_the_issuer_and_its_leases_open_nothing() -> None:
    """What is left is shown as ended, and cannot be ended again."""
    around = VisitWorld()
    await around.world.give_grant()
    login, visitor = await around.lease(), await around.visitor()
    ended = await around.deeds.my_grants.log_out(visitor, KEY, ORIGIN)
    assert ended.revoked
    assert "first" in around.world.issuer.revoked
    with pytest.raises(LeaseEnded):
        await around.replica.minting.grant_of(login)
    line = around.world.audit.last("logout")
    assert (line["visit"], line["credkey"], line["address"]) == (visitor.visit, "ada", "192.0.2.7")
    (held,) = (await around.deeds.my_grants.belongings(visitor)).grants
    assert held.grant.state is GrantState.ENDED
    with pytest.raises(NotFound):
        await around.deeds.my_grants.log_out(visitor, KEY, ORIGIN)


async def test_an_ssh_key_is_listed_and_taken_away() -> None:
    """The trail has its fingerprint."""
    around = VisitWorld()
    fingerprint, visitor = await around.ssh_key(), await around.visitor()
    deeds = around.deeds.my_grants
    (key,) = (await deeds.belongings(visitor)).ssh_keys
    assert key.fingerprint() == fingerprint
    await deeds.remove_ssh_key(visitor, fingerprint, ORIGIN)
    assert not (await deeds.belongings(visitor)).ssh_keys
    line = around.world.audit.last("ssh_key_removed")
    assert (line["fingerprints"], line["visit"]) == ([fingerprint], visitor.visit)


async def test_the_grants_of_robots_are_shown_to_who_brought_them() -> None:
    """One whose place somebody else's grant took is not; neither are those of namesakes."""
    around = VisitWorld()
    mine, taken = (GrantKey(ISSUER, f"ada/{name}", ROLE) for name in ("backup", "monitor"))
    for key in (mine, taken):
        await around.deeds.placing._remembering.robot("ada", key)
    await around.world.give_grant(mine, "line-r", "robot")
    theirs = await around.world.give_grant(taken, "line-t", "theirs")
    await around.world.grants.put(taken.segment(), replace(theirs, subject="sub-eve"), 1)
    visitor = await around.visitor()
    (held,) = (await around.deeds.my_grants.belongings(visitor)).grants
    assert held.grant.key == mine
    await around.deeds.my_grants.log_out(visitor, mine, ORIGIN)
    assert around.world.grants.newest(mine.segment()).state is GrantState.ENDED
    assert not (await around.deeds.my_grants.belongings(await around.visitor(NAMESAKE))).grants


async def a_robot(around: VisitWorld) -> GrantKey:
    """Return the place of a grant that ada brought for a robot."""
    key = GrantKey(ISSUER, "ada/backup", ROLE)
    await around.deeds.placing._remembering.robot("ada", key)
    await around.world.give_grant(key, "line-r", "robot")
    return key


async def test_a_login_that_reaches_a_robot_is_shown_there_and_can_be_ended() -> None:
    """Also after the own grant was logged out of; another person's, and a ticket's, are not."""
    around = VisitWorld()
    await around.world.give_grant()
    robot = await a_robot(around)
    login = await around.lease()
    around.world.clock.advance(1)
    await around.job(login)
    await around.lease(subject="")
    await around.lease(subject="sub-eve")
    await around.lease(line="line-before")
    visitor, deeds = await around.visitor(), around.deeds.my_grants
    await deeds.log_out(visitor, KEY, ORIGIN)
    own, theirs = (await deeds.belongings(visitor)).grants
    assert (own.leases, theirs.grant.key) == ((), robot)
    assert [one.id for one in theirs.leases] == [login.lease.id]
    await deeds.end_lease(visitor, login.lease.id, ORIGIN)
    assert around.world.leases.newest(login.lease.id).ended_at is not None
    assert not (await deeds.belongings(visitor)).grants[1].leases


async def test_a_login_that_brought_nothing_but_a_robot_is_shown_there() -> None:
    """No grant says on which line it is; to somebody else of that name it is not theirs."""
    around = VisitWorld()
    await a_robot(around)
    line = new_line(KEY, None, around.world.issuer.url, "sub-ada")
    login = await around.lease(line=line)
    namesake, visitor = await around.visitor(NAMESAKE), await around.visitor()
    deeds = around.deeds.my_grants
    with pytest.raises(NotFound):
        await deeds.end_lease(namesake, login.lease.id, ORIGIN)
    (held,) = (await deeds.belongings(visitor)).grants
    assert [one.id for one in held.leases] == [login.lease.id]
    await deeds.end_lease(visitor, login.lease.id, ORIGIN)
    assert around.world.leases.newest(login.lease.id).ended_at is not None


async def test_a_damaged_grant_hides_nothing_else() -> None:
    """Here it is the ssh key that stays to be seen."""
    around = VisitWorld()
    await around.world.give_grant()
    await around.ssh_key()
    visitor = await around.visitor()
    around.world.grants.fail_next(RecordDamaged("It is damaged."), on="get")
    found = await around.deeds.my_grants.belongings(visitor)
    assert (len(found.grants), len(found.ssh_keys)) == (0, 1)


async def test_another_issuers_grant_is_nobodys_here() -> None:
    """Even if that issuer names its people alike."""
    around = VisitWorld()
    visitor = replace(await around.visitor(ADA), issuer="other")
    await around.world.give_grant()
    with pytest.raises(NotFound):
        await around.deeds.my_grants.log_out(visitor, GrantKey(ISSUER, "ada", ROLE), ORIGIN)
    assert around.world.grants.newest(SEGMENT).state is GrantState.READY
