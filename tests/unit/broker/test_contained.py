"""What a revocation of a person or an issuer stops besides leases, and what nobody may do blindly."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.broker.containing import SILENT_SECONDS
from credbroker.broker.known_grants import PACE
from credbroker.domain.attenuation import Ceiling, Wanted
from credbroker.domain.errors import (
    ClockOff,
    CredbrokerError,
    LeaseEnded,
    RecordDamaged,
    StoreUnavailable,
)
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.leases import Lease
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind
from credbroker.domain.scopes import ScopeSet
from tests.unit.broker.confirming_world import ADA, ConfirmingWorld
from tests.unit.broker.logins.test_kerberos_logins import door
from tests.unit.broker.world import ISSUER, KEY, LINE, ORIGIN, Replica, World, wish

if TYPE_CHECKING:
    from credbroker.broker.leasing import Caller

NAMES = {Kind.PERSON: f"{ISSUER}/ada", Kind.ISSUER: ISSUER}
NARROW = Wanted(ScopeSet.parse("storage.read:/job"))
EVERYTHING = Wanted()


async def a_world(*, exchanges: bool = False) -> tuple[World, Replica, Caller]:
    """Return a world with one replica, one grant and a caller on it, some time after the login."""
    world = World()
    world.issuer.exchanges = exchanges
    replica = world.replica()
    await world.give_grant()
    _, caller = await world.give_lease(replica)
    await world.clock.pass_time(1.0)
    replica.engine.containing._read_at = world.clock.elapsed()
    return world, replica, caller


def blind(world: World, replica: Replica) -> None:
    """Let the marks be older than anybody may go by, and past reading; all else is well."""

    async def damaged(segment: str) -> Any:
        raise RecordDamaged("The record of revocations cannot be read.")

    world.revocations.get = damaged  # type: ignore[method-assign]  # for as long as the test lasts
    replica.engine.containing._read_at = world.clock.elapsed() - SILENT_SECONDS


def posts(world: World) -> int:
    """Return how often a refresh token was posted."""
    return sum(world.issuer.posts.values())


# -- nothing blindly --------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])
async def test_without_marks_nothing_is_refreshed_for_a_caller_or_by_the_keeper(kept: bool) -> None:
    """Though the grant can be read and claimed: no claim is made of it."""
    world, replica, _ = await a_world()
    blind(world, replica)
    before = world.grant
    with pytest.raises(CredbrokerError, match="revocations"):
        await replica.refreshing.refresh(replace(wish(), kept=kept), 9.0)
    assert (posts(world), world.grant) == (0, before)


async def test_without_marks_nothing_is_exchanged_and_what_is_held_is_served() -> None:
    """The token of the whole right is at hand, and goes on being given out."""
    world, replica, caller = await a_world(exchanges=True)
    held = await replica.minting.mint_access_token(caller, EVERYTHING)
    blind(world, replica)
    unsure = replace(caller, fresh=False)
    assert (await replica.minting.mint_access_token(unsure, EVERYTHING)).token is held.token
    for one in (caller, unsure):  # also who was known a moment ago
        with pytest.raises(CredbrokerError, match="revocations"):
            await replica.minting.mint_access_token(one, NARROW)
    assert (posts(world), world.issuer.exchanged) == (1, [])


async def test_a_replica_that_has_just_started_reads_the_marks_before_its_keeper_refreshes() -> (
    None
):
    """It goes by what they say."""
    world, _, _ = await a_world()
    await world.replica("operator").engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    newcomer = world.replica("newcomer")
    newcomer.engine.containing._read_at = float("-inf")
    with pytest.raises(LeaseEnded):
        await newcomer.refreshing.refresh(replace(wish(), kept=True), 9.0)
    assert posts(world) == 0


async def refuse(segment: str, value: Any, expected_version: int) -> int:
    """Take no write, in the store's place."""
    raise StoreUnavailable("OpenBao/Vault takes no writes.")


async def test_what_could_not_be_written_of_ended_leases_makes_nobody_blind() -> None:
    """Marks are read on while the store takes no writes, or has no room for them."""
    world, replica, caller = await a_world()
    containing = replica.engine.containing
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.revocations, "put", refuse)
        with pytest.raises(StoreUnavailable):
            await replica.leasing.end(caller)
        await world.clock.pass_time(SILENT_SECONDS)
        assert not containing.is_fresh
        await containing.confirm(1.0)  # which no write is needed for
    await containing.read()
    assert caller.lease.id in world.revocations.newest(Kind.LEASE.value).marks


# -- a grant of somebody who was contained ----------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
async def test_a_contained_grant_is_not_refreshed_until_its_person_logs_in(kind: Kind) -> None:
    """Neither for a lease that is newer than the mark, nor by the keeper; then it is."""
    world, replica, _ = await a_world()
    await replica.engine.containing.revoke(kind, NAMES[kind])
    await world.clock.pass_time(CLOCKS_OFF_SECONDS + 1)
    _, later = await world.give_lease(replica)
    with pytest.raises(LeaseEnded, match="operator"):
        await replica.minting.mint_access_token(later, EVERYTHING)
    with pytest.raises(LeaseEnded):
        await replica.refreshing.refresh(replace(wish(), kept=True), 9.0)
    assert posts(world) == 0
    await world.rewrite(created_at=world.clock.now(), line=LINE)  # as a login does
    await world.clock.pass_time(1 / PACE.per_second)
    assert (await replica.minting.mint_access_token(later, EVERYTHING)).token.jti


async def test_a_lifted_grant_is_used_again() -> None:
    """The wrong person was contained."""
    _, replica, caller = await a_world()
    containing = replica.engine.containing
    await containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    with pytest.raises(LeaseEnded):
        await replica.minting.mint_access_token(caller, EVERYTHING)
    await containing.lift(Kind.PERSON, NAMES[Kind.PERSON])
    await containing.read()
    assert (await replica.minting.mint_access_token(caller, EVERYTHING)).token.jti


async def test_the_keeper_lets_a_contained_grant_idle_and_keeps_the_others() -> None:
    """Both are due; what nobody may use is let go when its time comes, like all that nobody uses."""
    world, replica, _ = await a_world()
    bob = await world.give_grant_to("bob", "of-bob")
    long_ago = world.clock.now() - datetime.timedelta(seconds=KeepingRules().idle_refresh_seconds)
    await world.rewrite(refreshed_at=long_ago)
    await world.grants.put(bob.key.segment(), replace(bob, refreshed_at=long_ago), 1)
    await replica.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    keeping = replica.start(replica.engine.keeping.run())
    await world.clock.pass_time(60.0)
    keeping.cancel()
    assert dict(world.issuer.posts) == {"of-bob": 1}
    assert world.grant.state.value == "ready"


async def test_what_a_contained_person_lived_on_is_not_renewed_ahead() -> None:
    """Its consumers do not come back."""
    world, replica, caller = await a_world()
    minted = await replica.minting.mint_access_token(caller, EVERYTHING)
    assert posts(world) == 1
    await replica.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    keeping = replica.start(replica.engine.keeping.run())
    await world.clock.pass_time((minted.renew_at - world.clock.now()).total_seconds() + 1)
    keeping.cancel()
    assert posts(world) == 1


# -- who logs in, and how ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("offset", [0.0, -59.0, 59.0])
async def test_a_login_after_a_revocation_works_at_once(kind: Kind, offset: float) -> None:
    """Also at a replica whose clock is off by as much as it may be; for the jobs made from it too."""
    around = ConfirmingWorld(World())
    world = around.world
    operator = world.replica("operator", offset=-offset).engine.containing
    await operator.revoke(kind, NAMES[kind])
    side = around.side()
    await side.replica.engine.containing.read()
    login = await around.begin(side)
    found = await login.leased()
    await login.place(found)
    caller = await side.replica.leasing.identify(found.token, ORIGIN)
    token, _ = await side.replica.leasing.shorten(caller, 3600.0)
    again = await side.replica.leasing.identify(token, ORIGIN)
    assert (await side.replica.minting.mint_access_token(again, EVERYTHING)).token.jti


async def test_a_login_that_was_answered_before_a_revocation_comes_to_nothing_after_it() -> None:
    """However long its client waits with the poll: somebody else may be waiting in its place."""
    around = ConfirmingWorld(World())
    side = around.side()
    login = await around.begin(side)
    await login.log_in(ADA)
    await around.world.clock.pass_time(1.0)
    await side.replica.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    await around.world.clock.pass_time(CLOCKS_OFF_SECONDS + 1)
    with pytest.raises(LeaseEnded):
        await login.poll()
    assert around.world.grants.history == []


async def test_a_handle_that_was_not_yet_posted_is_of_no_use_after_a_revocation() -> None:
    """The lease that could post it is over."""
    around = ConfirmingWorld(World())
    side = around.side()
    login = await around.begin(side)
    found = await login.leased()
    await around.world.clock.pass_time(1.0)
    await side.replica.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    with pytest.raises(LeaseEnded):
        await side.replica.leasing.identify(found.token, ORIGIN)


async def test_a_ticket_opens_nothing_until_its_person_has_logged_in_at_the_issuer() -> None:
    """It may be the stolen one; the client goes on to that login by itself."""
    one = door()
    await one.world.give_grant()
    await one.world.clock.pass_time(1.0)
    await one.replica.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    await one.world.clock.pass_time(CLOCKS_OFF_SECONDS + 1)
    with pytest.raises(LeaseEnded):
        await one.log_in()
    assert one.world.leases.history == []
    assert one.world.audit.last("refused")["error"] == "lease_ended"
    await one.world.rewrite(created_at=one.world.clock.now())
    assert (await one.log_in()).token.id


async def test_a_ticket_opens_nothing_while_no_marks_are_to_be_had() -> None:
    """Its person may have been contained."""
    one = door()
    await one.world.give_grant()
    blind(one.world, one.replica)
    with pytest.raises(CredbrokerError, match="revocations"):
        await one.log_in()
    assert one.world.leases.history == []


async def test_a_replica_whose_clock_is_wrong_makes_no_lease() -> None:
    """Dated ahead, it would outlive every revocation of the next hour."""
    world = World()

    def wrong() -> None:
        raise ClockOff("This replica's clock is 3600 s ahead of OpenBao/Vault's.")

    await world.give_grant()
    good = world.replica("good")
    _, caller = await world.give_lease(good)
    world.check_clock = wrong
    off = world.replica("off", offset=3600.0)
    with pytest.raises(ClockOff):
        await off.leasing.shorten(caller, 3600.0)
    with pytest.raises(ClockOff):
        await off.engine.containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    assert world.revocations.history == []


async def test_a_mark_of_a_clock_that_is_off_hides_no_other_end() -> None:
    """Ten minutes ahead, it takes marks for old that nobody has read yet: such a replica makes none."""
    world = World()
    await world.give_grant()
    good, other = world.replica("good"), world.replica("other")
    _, caller = await world.give_lease(good)
    ended, _ = await good.leasing.shorten(caller, 3600.0)
    kept, _ = await good.leasing.shorten(caller, 3600.0)
    for token in (ended, kept):
        await other.leasing.identify(token, ORIGIN)
    await other.engine.containing.read()

    def wrong() -> None:
        raise ClockOff("This replica's clock is 600 s ahead of OpenBao/Vault's.")

    world.check_clock = wrong
    off = world.replica("off", offset=600.0)
    to_keep = await off.leasing.identify(kept, ORIGIN)
    await good.leasing.end(await good.leasing.identify(ended, ORIGIN))
    with contextlib.suppress(ClockOff):
        await off.leasing.end(to_keep)
    await other.engine.containing.read()
    with pytest.raises(LeaseEnded):
        await other.leasing.identify(ended, ORIGIN)
    assert world.leases.newest(kept.id).ended_at is None


# -- several operators, and a full record -----------------------------------------------------------


async def test_what_two_operators_contain_at_once_is_all_contained() -> None:
    """Each meets the other's write and adds to it."""
    world = World()
    first, second = (world.replica(name).engine.containing for name in ("first", "second"))
    world.revocations.get_seconds = world.revocations.put_seconds = 1.0
    begun = [
        world.replica().start(one.revoke(Kind.PERSON, f"{ISSUER}/{name}"))
        for one, name in [(first, "ada"), (second, "bob"), (first, "carol"), (second, "ada")]
    ]
    await world.clock.pass_time(60.0)
    moments = [one.result() for one in begun]
    marks = world.revocations.newest(Kind.PERSON.value).marks
    assert set(marks) == {f"{ISSUER}/{name}" for name in ("ada", "bob", "carol")}
    assert marks[f"{ISSUER}/ada"].before == max(moments[0], moments[3])


async def test_an_earlier_moment_takes_nothing_back_here_or_elsewhere() -> None:
    """A second operator names one, after the first meant everything until now."""
    world, replica, caller = await a_world()
    containing = replica.engine.containing
    await containing.revoke(Kind.PERSON, NAMES[Kind.PERSON])
    long_ago = world.clock.now() - datetime.timedelta(days=3)
    await containing.revoke(Kind.PERSON, NAMES[Kind.PERSON], long_ago)
    with pytest.raises(LeaseEnded):
        containing.judge(caller.lease)


async def test_who_ends_leases_in_masses_leaves_room_for_an_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And delays only the word of their own ends."""
    monkeypatch.setattr("credbroker.broker.containing.ENDED_BYTES", 1000)
    world, replica, caller = await a_world()
    containing = replica.engine.containing
    room = 1000 // (32 + 22)
    for number in range(room):
        await containing.ended(f"{number:022}")
    with pytest.raises(CredbrokerError, match="no room"):
        await containing.ended("x" * 22)
    await containing.revoke(Kind.LEASE, caller.lease.id)
    other = world.replica("other").engine.containing
    await other.read()
    with pytest.raises(LeaseEnded):
        other.judge(caller.lease)
    await world.clock.pass_time(600.0)  # by then the first ones are forgotten
    await containing.read()
    assert "x" * 22 in world.revocations.newest(Kind.LEASE.value).marks


async def test_what_is_contained_is_listed_without_leases_that_people_ended() -> None:
    """As it is in the store, and not as this process last saw it."""
    world, replica, caller = await a_world()
    await replica.leasing.end(caller)
    other = world.replica("other").engine.containing
    over = await replica.engine.containing.revoke(Kind.LEASE, "l" * 22)
    await replica.engine.containing.revoke(Kind.JOB, "job 1")
    listed = await other.contained()
    found = {kind: {name: mark.before for name, mark in listed[kind].items()} for kind in Kind}
    assert found[Kind.LEASE] == {"l" * 22: over}
    assert set(found[Kind.JOB]) == {"job 1"}
    assert found[Kind.PERSON] == found[Kind.HOST] == found[Kind.ISSUER] == {}


async def test_a_lease_made_from_one_of_a_later_login_is_judged_as_that_is() -> None:
    """Within the minute for which a mark reaches ahead."""
    world = World()
    replica = world.replica()
    containing = replica.engine.containing
    await containing.revoke(Kind.ISSUER, ISSUER)
    now = world.clock.now()
    token = replica.leasing.new_token(LINE)
    ends_at = now + datetime.timedelta(days=1)
    whole = Lease(token.id, token.secret_hash(), KEY, LINE, Ceiling(), now, ends_at)
    await replica.leasing.begin(whole)
    containing.judge(world.leases.newest(token.id))
    with pytest.raises(LeaseEnded):
        containing.judge(whole)
