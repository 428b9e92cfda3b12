"""Refresh tokens are posted once and followed by a stored successor, in every story told here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from credbroker.broker.custody.refreshing import Wish
from credbroker.broker.storing import TRIES
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    AuditUnavailable,
    Busy,
    ClientRejected,
    CredbrokerError,
    GrantInDoubt,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
    LeaseEnded,
    LoginNeeded,
    NotFound,
    OutsideCeiling,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Unclear
from credbroker.domain.rotation import UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import StaleVersionError
from tests.fakes.clock import turns
from tests.unit.broker.stalling import Stall
from tests.unit.broker.world import ISSUER, KEY, READ, ROLE, Replica, World, wish

ASK, RETRY_SAFE = UnclearRule.ASK, UnclearRule.RETRY_SAFE
READY, CLAIMED, LOST = GrantState.READY, GrantState.CLAIMED, GrantState.LOST
IN_DOUBT, ENDED = GrantState.IN_DOUBT, GrantState.ENDED

SILENT = Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))
REFUSED = Dead(LoginNeeded("The issuer no longer accepts this login."))
BUSY = NotActedOn(IssuerUnreachable("The issuer is busy (429)."))
OTHER_SCOPE = NotActedOn(IssuerRefusedRequest("The issuer does not allow this scope."))
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")
UNCLEAR = StoreUnclear("OpenBao/Vault took a write and did not answer.")
PATIENCE = 9.0
CLAIM_MUST_STORE_SECONDS = 15.0


async def one_refresh(replica: Replica, right: Right = READ, seconds: float = PATIENCE) -> Secret:
    """Refresh as a caller does; return the access token's value."""
    token = await replica.refreshing.refresh(wish(right), seconds)
    return token.value


async def fails_with(replica: Replica) -> type[CredbrokerError]:
    """Refresh and return the kind of error that came of it."""
    with pytest.raises(CredbrokerError) as caught:
        await one_refresh(replica)
    return type(caught.value)


async def stopped_after_the_post(world: World) -> tuple[Replica, Stall, asyncio.Task[Secret]]:
    """Stop a replica whose post is out, until its claim is too old to be alive."""
    stall = Stall(world.clock)
    slow = world.replica("slow", stall=stall)
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = slow.start(one_refresh(slow, seconds=600))
    await turns()
    stall.stop()
    await world.clock.pass_time(world.claim_seconds + 1)
    assert world.issuer.posts == {"first": 1}
    return slow, stall, caller


# -- one refresh ---------------------------------------------------------------------------------


async def test_the_successor_is_stored_before_anybody_sees_the_access_token() -> None:
    """While the store takes its time, so does the caller's answer."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica))
    await turns()
    for _ in range(3):
        world.grants.fail_next(AWAY, on="put")
    await world.clock.pass_time(1.5)
    assert world.issuer.issued
    assert not caller.done()
    access_token = await pass_until(world, caller)
    assert world.refresh_token == world.issuer.issued[access_token.reveal()].successor
    assert world.grant.generation == 2
    assert world.issuer.posts == {"first": 1}


async def pass_until(world: World, task: asyncio.Task[Secret], limit: float = 60) -> Secret:
    """Let time pass until a caller has its answer."""
    for _ in range(int(limit)):
        if task.done():
            break
        await world.clock.pass_time(1)
    return await task


async def test_a_thousand_callers_share_one_refresh() -> None:
    """Incident: two refreshes at once lose a session at an issuer that rotates."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    callers = [replica.start(one_refresh(replica)) for _ in range(1000)]
    await world.clock.pass_time(2)
    assert len({caller.result() for caller in callers}) == 1
    assert world.issuer.posts == {"first": 1}
    assert len(world.grants.history) == 3  # given, claimed, advanced


async def test_different_rights_on_one_grant_go_one_after_the_other() -> None:
    """Each with the successor of the one before."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    rights = [Right(ScopeSet.parse(f"storage.read:/{n}")) for n in range(5)]
    callers = [replica.start(one_refresh(replica, right)) for right in rights]
    await world.clock.pass_time(PATIENCE)
    assert all(caller.result() for caller in callers)
    assert set(world.issuer.posts.values()) == {1}
    assert len(world.issuer.posts) == world.issuer.connections == 5
    assert world.grant.generation == 6


async def test_an_issuer_that_does_not_rotate_keeps_its_refresh_token() -> None:
    """Incident: an access token thrown away because the answer had no refresh token in it."""
    world = World(rule=RETRY_SAFE, rotates=False)
    replica = world.replica()
    await world.give_grant()
    for _ in range(3):
        assert await one_refresh(replica)
    assert (world.refresh_token, world.grant.generation) == ("first", 4)
    world.issuer.rotates = True
    world.clock.advance(world.issuer.token_seconds)
    assert await one_refresh(world.replica("replica-2"))  # it is all the same to the broker
    assert world.refresh_token != "first"


@dataclass(frozen=True)
class Story:
    """What the issuer does with the one post, and what is left."""

    rule: UnclearRule
    answer: Outcome | Exception
    left: GrantState
    told: type[CredbrokerError]


@pytest.mark.parametrize(
    "story",
    [
        Story(ASK, SILENT, IN_DOUBT, GrantInDoubt),
        Story(ASK, REFUSED, LOST, LoginNeeded),
        Story(ASK, BUSY, READY, IssuerUnreachable),
        Story(ASK, OTHER_SCOPE, READY, IssuerRefusedRequest),
        Story(ASK, RuntimeError("a bug in the adapter"), IN_DOUBT, GrantInDoubt),
        Story(ASK, IssuerUnreachable("hung up before the first byte"), READY, IssuerUnreachable),
        Story(RETRY_SAFE, SILENT, READY, IssuerUnreachable),
        Story(RETRY_SAFE, REFUSED, LOST, LoginNeeded),
        Story(RETRY_SAFE, RuntimeError("a bug in the adapter"), READY, IssuerMisbehaved),
    ],
    ids=lambda story: f"{story.rule.value}-{type(story.answer).__name__}-{story.left.value}",
)
async def test_what_is_left_after_one_post(story: Story) -> None:
    """The record says it at once, and the audit trail with it."""
    world = World(rule=story.rule)
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_next(story.answer)
    assert await fails_with(replica) is story.told
    assert (world.grant.state, world.grant.claimed_by) == (story.left, None)
    assert (world.refresh_token, world.grant.generation) == ("first", 1)
    assert world.audit.last("refresh_failed")["state"] == story.left.value
    assert world.issuer.posts == {"first": 1}


@pytest.mark.parametrize(
    ("answer", "told"), [(SILENT, GrantInDoubt), (REFUSED, LoginNeeded)], ids=["silent", "dead"]
)
async def test_after_doubt_or_death_nothing_is_ever_posted_again(
    answer: Outcome, told: type[CredbrokerError]
) -> None:
    """Incident: a time-out, a resend, and the issuer revokes the family. It is told at once."""
    world = World()
    await world.give_grant()
    world.issuer.answer_next(answer)
    await fails_with(world.replica())
    for name in ("replica-1", "replica-2"):
        assert await fails_with(world.replica(name)) is told
    assert world.issuer.posts == {"first": 1}
    assert world.issuer.connections == 1


async def test_the_error_names_the_command_that_mends_it() -> None:
    """With issuer and role, ready to be pasted."""
    world = World()
    await world.give_grant()
    await world.rewrite(state=LOST)
    with pytest.raises(LoginNeeded) as caught:
        await one_refresh(world.replica())
    assert f"credbroker login {ISSUER} --role {ROLE}" in caught.value.remedy


async def test_an_unreachable_issuer_costs_nothing_and_is_given_a_rest() -> None:
    """Callers in that second are told at once; then it is tried again, with longer pauses."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    assert await fails_with(replica) is IssuerUnreachable
    assert len(world.grants.history) == 1  # not even a claim
    world.issuer.down = None
    assert await fails_with(replica) is IssuerUnreachable
    assert world.issuer.connections == 0
    world.clock.advance(1)
    assert await one_refresh(replica)


async def test_a_grant_whose_answer_breaks_the_adapter_delays_no_other_person() -> None:
    """One poisoned answer is no reason to give the issuer a rest."""
    world = World()
    replica = world.replica()
    other = GrantKey(ISSUER, "bob", ROLE)
    await world.give_grant()
    await world.give_grant(other, "line-2", "second")
    world.issuer.answer_next(ValueError("poison"))
    await fails_with(replica)
    token = await replica.refreshing.refresh(wish(key=other, line="line-2"), PATIENCE)
    assert world.issuer.posts == {"first": 1, "second": 1}
    assert token.value.reveal() in world.issuer.issued


async def test_a_refresh_token_never_goes_out_under_another_client() -> None:
    """After the operator changed the client_id, say."""
    world = World()
    await world.give_grant()
    world.issuer.client_id = "another"
    assert await fails_with(world.replica()) is ClientRejected
    assert world.issuer.connections == 0
    assert world.grant.state is READY


@pytest.mark.parametrize("known", ["nothing", "another line", "another issuer"])
async def test_a_wish_for_a_grant_that_is_not_there_posts_nothing(known: str) -> None:
    """A lease from before a logout finds another line, or nothing."""
    world = World()
    replica = world.replica()
    key = KEY
    if known == "another line":
        await world.give_grant(line="line-2")
    if known == "another issuer":
        key = GrantKey("atlas", "ada", ROLE)
    with pytest.raises((LeaseEnded, NotFound)):
        await replica.refreshing.refresh(wish(key=key), PATIENCE)
    assert world.issuer.connections == 0


# -- whoever stops waiting -----------------------------------------------------------------------


@pytest.mark.parametrize("leaves", ["hangs up", "loses patience"])
async def test_a_refresh_once_begun_is_carried_to_its_stored_end(leaves: str) -> None:
    """No caller's end or time-out reaches it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 20
    caller = replica.start(one_refresh(replica))
    await turns()
    if leaves == "hangs up":
        caller.cancel()
    await world.clock.pass_time(PATIENCE)
    assert caller.cancelled() if leaves == "hangs up" else isinstance(caller.exception(), Busy)
    assert world.grant.state is CLAIMED
    await world.clock.pass_time(20 - PATIENCE)
    assert world.grant.state is READY
    assert world.refresh_token == "refresh-1"


async def test_a_caller_who_comes_back_joins_the_refresh_in_flight() -> None:
    """Instead of queueing a second one behind it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 12
    first = replica.start(one_refresh(replica))
    await world.clock.pass_time(10)
    assert isinstance(first.exception(), Busy)
    second = replica.start(one_refresh(replica))
    await world.clock.pass_time(2)
    assert second.result()
    assert world.issuer.posts == {"first": 1}


async def test_finishing_waits_for_the_refreshes_in_flight() -> None:
    """As on the way down."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 20
    replica.start(one_refresh(replica))
    await turns()
    stopping = asyncio.ensure_future(replica.deeds.finish())
    await world.clock.pass_time(19)
    assert not stopping.done()
    await world.clock.pass_time(1)
    assert stopping.done()
    assert world.grant.generation == 2


# -- the store at the claim ----------------------------------------------------------------------


async def test_nothing_is_posted_while_no_claim_can_be_stored() -> None:
    """And the grant is as it was."""
    world = World()
    await world.give_grant()
    world.grants.fail_next(AWAY, on="put")
    assert await fails_with(world.replica()) is StoreUnavailable
    assert not world.issuer.posts
    assert world.grant.state is READY


async def test_a_claim_whose_answer_got_lost_is_recognised_and_used() -> None:
    """Own write id: it was taken."""
    world = World()
    await world.give_grant()
    world.grants.fail_next(UNCLEAR, acted=True, on="put")
    assert await one_refresh(world.replica())
    assert world.issuer.posts == {"first": 1}


@pytest.mark.parametrize("taken", [False, True])
async def test_a_claim_that_stayed_unclear_is_given_back_unused(taken: bool) -> None:
    """Nothing was sent, so a moment's outage must not cost the person a login."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.connect_seconds = 1
    caller = replica.start(fails_with(replica))
    await turns()
    world.grants.fail_next(UNCLEAR, acted=taken, on="put")
    for _ in range(3):
        world.grants.fail_next(AWAY, on="get")
    await world.clock.pass_time(3)
    assert await caller is StoreUnclear
    assert not world.issuer.posts
    assert world.grant.state is READY


async def test_a_claim_that_took_too_long_to_store_is_given_back_unused() -> None:
    """Another replica may soon take it for left behind; a post now could come twice."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    put = world.grants.put

    async def slowly(segment: str, value: object, expected: int) -> int:
        world.grants.put = put  # type: ignore[method-assign]  # only this once
        await world.clock.sleep(CLAIM_MUST_STORE_SECONDS + 1)
        return await put(segment, value, expected)  # type: ignore[arg-type]  # it is a grant

    world.grants.put = slowly  # type: ignore[method-assign, assignment]  # stands in for the fake's own
    caller = replica.start(fails_with(replica))
    await world.clock.pass_time(CLAIM_MUST_STORE_SECONDS + 1)
    assert await caller is Busy
    assert not world.issuer.posts
    assert world.grant.state is READY


async def test_losing_the_race_for_the_claim_means_looking_again() -> None:
    """Between the look and the claim another replica refreshed."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.connect_seconds = 1
    caller = replica.start(one_refresh(replica))
    await turns()
    await world.rewrite(refresh_token=Secret("refresh token", "theirs"), generation=2, write_id="t")
    await world.clock.pass_time(3)
    assert caller.result()
    assert world.issuer.posts == {"theirs": 1}


# -- the store at the successor ------------------------------------------------------------------


Trouble = Callable[[World], None]


@pytest.mark.parametrize(
    "trouble",
    [
        lambda world: world.grants.fail_next(AWAY, on="put"),
        lambda world: world.grants.fail_next(UNCLEAR, on="put"),
        lambda world: world.grants.fail_next(UNCLEAR, acted=True, on="put"),
        lambda world: [world.grants.fail_next(AWAY) for _ in range(20)],
        lambda world: [
            world.grants.fail_next(UNCLEAR, acted=True, on="put"),
            *(world.grants.fail_next(AWAY, on="get") for _ in range(5)),
        ],
    ],
    ids=["away", "unclear, not taken", "unclear, taken", "away for long", "unclear, then away"],
)
async def test_a_successor_is_offered_until_the_store_has_it(trouble: Trouble) -> None:
    """Once stored, once posted, and the caller's token comes only then."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica, seconds=600))
    await turns()
    trouble(world)
    access_token = await pass_until(world, caller, 200)
    assert world.refresh_token == world.issuer.issued[access_token.reveal()].successor
    assert (world.grant.state, world.grant.generation) == (READY, 2)
    assert world.issuer.posts == {"first": 1}
    assert world.audit.events() == ["refresh_begun", "refresh"]


async def test_an_outage_while_a_successor_waits_is_not_hammered() -> None:
    """Five minutes without a store are a hundred tries, not a million."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica, seconds=600))
    await turns()
    for _ in range(100):
        world.grants.fail_next(AWAY, on="put")
    await world.clock.pass_time(300)
    assert not caller.done()
    assert 100 - len(world.grants._failures) < 100
    world.grants.mend()
    await world.clock.pass_time(10)
    assert caller.result()


async def test_a_late_successor_beats_the_doubt_another_replica_wrote() -> None:
    """The claim aged out while the issuer was slow; its answer is worth more than the doubt."""
    world = World()
    _, stall, caller = await stopped_after_the_post(world)
    other = world.replica("other")
    assert await fails_with(other) is GrantInDoubt
    assert world.grant.state is IN_DOUBT
    stall.go_on()
    await world.clock.pass_time(9)
    assert caller.result()
    assert (world.grant.state, world.refresh_token) == (READY, "refresh-1")
    assert world.issuer.posts == {"first": 1}


@pytest.mark.parametrize(
    ("answer", "left"), [(BUSY, READY), (REFUSED, LOST)], ids=["not acted", "dead"]
)
async def test_late_certainty_beats_the_doubt_another_replica_wrote(
    answer: NotActedOn | Dead, left: GrantState
) -> None:
    """And above all, the refresh token that is kept is not revoked."""
    world = World()
    world.issuer.answer_next(answer)
    _, stall, caller = await stopped_after_the_post(world)
    other = world.replica("other")
    await fails_with(other)
    stall.go_on()
    await world.clock.pass_time(9)
    assert type(caller.exception()) is type(answer.error)
    assert world.grant.state is left
    assert not world.issuer.revoked


@pytest.mark.parametrize("came_first", ["logout", "new login", "new login after a logout"])
async def test_a_successor_that_lost_its_place_is_revoked_and_told(came_first: str) -> None:
    """Nothing is left behind at the issuer, and nobody gets the access token."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica))
    await turns()
    later = Secret("refresh token", "later")
    if came_first == "logout":
        await world.rewrite(state=ENDED, refresh_token=None, generation=2, write_id="w")
    elif came_first == "new login":
        await world.rewrite(state=READY, refresh_token=later, generation=2, write_id="w")
    else:
        await world.rewrite(
            state=READY, refresh_token=later, generation=3, write_id="w", line="line-2"
        )
    kept = world.refresh_token
    await world.clock.pass_time(1)
    assert isinstance(caller.exception(), Busy)
    assert world.refresh_token == kept
    assert world.issuer.revoked == ["refresh-1"]
    assert world.audit.events() == ["refresh_begun", "successor_superseded"]
    assert world.audit.last("successor_superseded")["revoked"] is True


async def test_a_superseded_successor_is_revoked_even_if_the_trail_is_full() -> None:
    """The line may fail; the issuer must still hear of it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.issuer.answer_seconds = 1
    caller = replica.start(one_refresh(replica))
    await turns()
    await world.rewrite(state=ENDED, refresh_token=None, generation=2, write_id="w")
    world.audit.refused.add("successor_superseded")
    await world.clock.pass_time(1)
    assert isinstance(caller.exception(), AuditUnavailable)
    assert world.issuer.revoked == ["refresh-1"]


async def test_a_value_that_is_still_in_use_is_never_revoked_as_superseded() -> None:
    """Where the issuer gives the same value back, a late replica's "successor" is the live one."""
    world = World(rule=RETRY_SAFE, rotates=False)
    _, stall, caller = await stopped_after_the_post(world)
    other = world.replica("other")
    world.issuer.answer_seconds = 0
    assert await one_refresh(other)
    stall.go_on()
    await world.clock.pass_time(9)
    assert caller.result()
    assert not world.issuer.revoked
    assert (world.grant.state, world.refresh_token) == (READY, "first")


# -- claims left behind, and replicas side by side -----------------------------------------------


@pytest.mark.parametrize(
    ("rule", "left"), [(ASK, IN_DOUBT), (RETRY_SAFE, READY)], ids=["ask", "retry_safe"]
)
async def test_a_claim_left_behind_by_a_dead_replica_goes_by_the_rule(
    rule: UnclearRule, left: GrantState
) -> None:
    """Not before it is too old to be alive; a post may have happened."""
    world = World(rule=rule, rotates=rule is ASK)
    replica = world.replica("alive")
    await world.give_grant()
    await world.rewrite(state=CLAIMED, claimed_by="dead", write_id="c")
    caller = replica.start(one_refresh(replica, seconds=600))
    await world.clock.pass_time(world.claim_seconds - 1)
    assert world.grant.state is CLAIMED
    assert not world.issuer.posts
    await world.clock.pass_time(2)
    assert world.audit.last("claim_left_behind")["owner"] == "dead"
    assert world.audit.last("claim_left_behind")["state"] == left.value
    if left is READY:
        assert caller.result()
        assert world.issuer.posts == {"first": 1}
    else:
        assert isinstance(caller.exception(), GrantInDoubt)
        assert world.grant.state is IN_DOUBT
        assert not world.issuer.posts


async def test_a_left_claim_is_settled_by_one_of_two_replicas_that_find_it() -> None:
    """The other looks again."""
    world = World()
    one, two = world.replica("one"), world.replica("two")
    await world.give_grant()
    await world.rewrite(state=CLAIMED, claimed_by="dead", write_id="c")
    world.clock.advance(world.claim_seconds)
    callers = [one.start(fails_with(one)), two.start(fails_with(two))]
    await turns()
    assert [await caller for caller in callers] == [GrantInDoubt, GrantInDoubt]
    assert world.audit.events() == ["claim_left_behind"]


async def test_a_fresh_claim_of_another_replica_is_waited_for_at_most_nine_seconds() -> None:
    """Callers such as htgettoken give up after ten."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await world.rewrite(state=CLAIMED, claimed_by="other", write_id="c")
    caller = replica.start(fails_with(replica))
    await world.clock.pass_time(PATIENCE)
    assert await caller is Busy


@pytest.mark.parametrize("replicas", [2, 3])
async def test_replicas_side_by_side_share_one_refresh(replicas: int) -> None:
    """Each with a crowd of callers, over one record and no other service between them.

    Incident: parallel use of a rotating refresh token, across processes.
    """
    world = World()
    world.issuer.answer_seconds = 0.5
    await world.give_grant()
    crowd = [world.replica(f"replica-{n}") for n in range(replicas)]
    callers = [one.start(one_refresh(one)) for one in crowd for _ in range(20)]
    await world.clock.pass_time(PATIENCE)
    assert len({caller.result() for caller in callers}) == 1
    assert world.issuer.posts == {"first": 1}
    assert world.grant.generation == 2


async def test_a_restarted_replica_serves_what_came_with_the_last_refresh() -> None:
    """Incident: a stampede of refreshes after a restart. The token lies beside its successor."""
    world = World()
    await world.give_grant()
    first = await one_refresh(world.replica("before"))
    assert await one_refresh(world.replica("after")) == first
    assert world.issuer.posts == {"first": 1}


async def test_another_replicas_token_is_not_served_once_it_is_due() -> None:
    """Half of its life counts from when it was fetched, not from when it was met here."""
    world = World()
    await world.give_grant()
    first = await one_refresh(world.replica("one"))
    world.clock.advance(world.issuer.token_seconds * 0.6)
    assert await one_refresh(world.replica("two")) != first
    assert world.issuer.posts == {"first": 1, "refresh-1": 1}


async def test_a_token_for_another_right_is_never_taken_from_the_record() -> None:
    """Never wider than what was asked."""
    world = World()
    await world.give_grant()
    await one_refresh(world.replica("one"))
    other = Right(ScopeSet.parse("compute.read"))
    token = await world.replica("two").refreshing.refresh(wish(other), PATIENCE)
    assert token.scopes == other.scopes
    assert len(world.issuer.posts) == 2


async def test_a_token_in_the_record_that_does_not_verify_is_not_served() -> None:
    """What lies there was never checked by who stored it."""
    world = World()
    await world.give_grant()
    first = await one_refresh(world.replica("one"))
    await world.rewrite(access_token=Secret("access token", "forged"), write_id="w")
    token = await one_refresh(world.replica("two"))
    assert token.reveal() not in {"forged", first.reveal()}


async def test_one_slow_grant_delays_no_other() -> None:
    """Incident: a slow back end delays everybody."""
    world = World()
    replica = world.replica()
    other = GrantKey(ISSUER, "bob", ROLE)
    await world.give_grant()
    await world.give_grant(other, "line-2", "second")
    await world.rewrite(state=CLAIMED, claimed_by="hung", write_id="c")
    replica.start(fails_with(replica))
    await turns()
    token = await replica.refreshing.refresh(wish(key=other, line="line-2"), PATIENCE)
    assert token.value.reveal() in world.issuer.issued


# -- the trail -----------------------------------------------------------------------------------


async def test_without_a_trail_nobody_gets_the_token_and_the_grant_is_intact() -> None:
    """The successor is stored before the line is tried."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.audit.refused.add("refresh")
    assert await fails_with(replica) is AuditUnavailable
    assert (world.grant.state, world.refresh_token) == (READY, "refresh-1")
    world.audit.refused.clear()
    assert await one_refresh(replica)
    assert set(world.issuer.posts.values()) == {1}


async def test_the_trail_and_the_errors_hold_no_secret() -> None:
    """Whatever came of it."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await one_refresh(replica)
    world.issuer.answer_next(ValueError("refresh-1 was in the body"))
    with pytest.raises(CredbrokerError) as caught:
        await one_refresh(replica)
    told = f"{world.audit.lines} {caught.value!r} {caught.value.remedy}"
    assert not [value for value in ("first", "refresh-1", "access-1") if value in told]


async def test_a_renewed_answer_counts_the_last_access_token_given_out() -> None:
    """A logout can then say until when tokens live on."""
    world = World()
    await world.give_grant()
    await one_refresh(world.replica())
    assert world.grant.tokens_until is not None
    assert (world.grant.tokens_until - world.clock.now()).total_seconds() == 1200


# -- what a hostile reading found ------------------------------------------------------------------


async def test_a_claim_that_lands_late_leaves_nobody_in_doubt() -> None:
    """A stall of the store is no reason to log in again: nothing was ever posted."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    for _ in range(TRIES - 1):
        world.grants.fail_next(StoreUnclear("No answer."), on="put")
    world.grants.delay_next_put(StoreUnclear("No answer."))
    assert await fails_with(replica) is StoreUnclear
    await world.clock.pass_time(1)
    with contextlib.suppress(StaleVersionError):
        await world.grants.land()
    await world.clock.pass_time(1)
    assert world.grant.state is READY
    assert not world.issuer.posts
    assert await one_refresh(replica)


async def test_one_changed_value_ends_retry_safe_for_good() -> None:
    """The rule on record was wrong: at an issuer that rotates a second post may revoke all."""
    world = World(rule=RETRY_SAFE, rotates=True)
    replica = world.replica()
    await world.give_grant()
    assert await one_refresh(replica)
    world.issuer.answer_next(SILENT)
    assert await fails_with(replica) is GrantInDoubt
    assert world.grant.state is IN_DOUBT
    assert max(world.issuer.posts.values()) == 1


async def test_one_failed_request_turns_nobody_else_away() -> None:
    """A 500 to one person's refresh is that grant's trouble, and its alone."""
    world = World(rule=RETRY_SAFE, rotates=False)
    replica = world.replica()
    await world.give_grant()
    others = GrantKey(ISSUER, "bob", ROLE)
    await world.give_grant(others, "line-2", "bobs")
    world.issuer.answer_next(Unclear(IssuerFailed("The issuer failed with status 500.")))
    assert await fails_with(replica) is IssuerFailed
    token = await replica.refreshing.refresh(Wish(others, "line-2", READ), 9)
    assert token.scopes == READ.scopes
    assert await fails_with(replica) is IssuerFailed  # at rest: nothing was posted again
    assert world.issuer.posts["first"] == 1


async def test_a_full_trail_spends_no_refresh_token() -> None:
    """It is found out before the post, not after."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    world.audit.refused.add("refresh_begun")
    for _ in range(10):
        assert await fails_with(replica) is AuditUnavailable
    assert not world.issuer.posts
    assert world.grant.state is READY


async def test_a_right_is_held_against_the_grant_that_is_used() -> None:
    """A new login may have granted less than the one that the caller knew of."""
    world = World()
    replica = world.replica()
    await world.give_grant()
    await world.rewrite(scopes=ScopeSet.parse("openid compute.read"), write_id="narrower")
    assert await fails_with(replica) is OutsideCeiling
    assert not world.issuer.posts
