"""While an issuer is out for every replica, people are signed for within limits, and not after it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from credbroker.broker.engine import SignedHere
from credbroker.broker.issuing.bridging import BridgeBy
from credbroker.broker.issuing.signing import Signing
from credbroker.broker.leasing import Caller
from credbroker.domain.bridging import BridgeLimits
from credbroker.domain.errors import (
    AuditUnavailable,
    CredbrokerError,
    GrantPaused,
    IssuerUnreachable,
    LeaseEnded,
    LoginNeeded,
    OutsideCeiling,
    StoreUnavailable,
)
from credbroker.domain.grants import GrantState
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome
from credbroker.domain.revocations import Kind, Mark
from credbroker.domain.rotation import Rule, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken
from tests.fakes.signing import have_withdrawn, memory_signing
from tests.unit.broker.issuing.people_world import RIGHTS, SE1, mint, people_of
from tests.unit.broker.world import ISSUER, KEY, Replica, World

BEAT, LIFE, HOUR = 10.0, 1200, 3600.0
AWAY = IssuerUnreachable("The issuer does not answer.")
TABLE = LifetimeTable.of({"read": 1800})
SUSPENDED = NotActedOn(GrantPaused("The issuer says that this account may not log in now."))
GONE = Dead(LoginNeeded("The issuer no longer accepts this login."))


class OutageWorld(World):
    """A world whose issuer may be bridged, and whose replicas beat."""

    signing: Signing

    @classmethod
    async def made(cls, **limits: Any) -> OutageWorld:
        """Return one in which all is well."""
        world = cls()
        world.signing = await memory_signing(world.clock)
        by = BridgeBy("dteam", world.signing, TABLE, BridgeLimits(frozenset({SE1}), **limits))
        world.signed_here = SignedHere(bridges={ISSUER: by})
        await world.give_grant()
        return world

    async def ready(self, name: str = "replica-1") -> tuple[Replica, Caller]:
        """Start a replica with a caller."""
        replica = self.replica(name)
        _, caller = await self.give_lease(replica)
        return replica, caller

    async def passes(self, seconds: float, *replicas: Replica) -> None:
        """Let time pass for these replicas, which beat all the while."""
        for _ in range(int(seconds / BEAT)):
            for one in replicas:
                await one.engine.beating.beat()
            await self.clock.pass_time(BEAT)

    async def goes_out(self, seconds: float, *replicas: Replica) -> None:
        """Have the issuer fall silent, which the first of these notices by a refresh."""
        self.issuer.down = AWAY
        replicas[0].engine.gates[ISSUER].note(AWAY)
        await self.passes(seconds, *replicas)

    async def ended(self) -> Mark | None:
        """Return what ends the tokens that were signed for ada, if anything does."""
        found = await self.revocations.get(Kind.CLIENT.value)
        return None if found is None else found.value.marks.get("dteam/sub-ada")


async def refused(replica: Replica, caller: Caller, scopes: str = "storage.read:/a") -> None:
    """Check that nothing is signed for this wish, in the words of the outage."""
    with pytest.raises(IssuerUnreachable):
        await mint(replica, caller, scopes, SE1)


async def test_an_outage_that_all_replicas_see_is_bridged() -> None:
    """After five minutes, for what the person's grant and lease give, signed here."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    two, _ = await world.ready("replica-2")
    await world.goes_out(290, one, two)
    await refused(one, caller)
    await world.passes(120, one, two)
    token = await mint(one, caller, "storage.read:/a", SE1)
    known = await world.signing.verify(token.value)
    assert (known.token.subject, str(known.token.scopes)) == ("sub-ada", "storage.read:/a")
    assert known.token.audiences == (SE1,)
    assert known.token.seconds_left(world.clock.now()) == 1800
    assert world.audit.last("bridge")["jti"] == token.jti
    assert world.audit.last("mint")["jti"] == token.jti


async def test_a_bridges_token_of_a_withdrawn_key_is_signed_anew() -> None:
    """No service takes the one at hand any more."""
    world = await OutageWorld.made()
    replica, caller = await world.ready()
    await world.goes_out(600, replica)
    first = await mint(replica, caller, "storage.read:/a", SE1)
    await have_withdrawn(world.signing, first.key_id)
    assert (await mint(replica, caller, "storage.read:/a", SE1)).key_id != first.key_id


async def test_a_replica_that_did_not_see_it_prevents_the_bridge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The issuer answers it, so it is the way there that is broken."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    two, _ = await world.ready("replica-2")
    monkeypatch.setattr(two.engine.gates[ISSUER], "probed", lambda _: None)
    await world.goes_out(1200, one, two)
    await refused(one, caller)
    assert "bridge" not in world.audit.events()


async def test_an_idle_replica_finds_out_by_itself() -> None:
    """By a probe, which uses nobody's grant; and only once another sees it fail."""
    world = await OutageWorld.made()
    one, _ = await world.ready()
    two, other = await world.ready("replica-2")
    await world.passes(600, one, two)
    assert world.issuer.probes == 0
    await world.goes_out(600, one, two)
    assert 20 <= world.issuer.probes <= 60
    assert sum(world.issuer.posts.values()) == 0
    assert (await mint(two, other, "storage.read:/a", SE1)).issuer_url == world.signing.url


async def test_a_single_failure_is_no_outage() -> None:
    """The probes that follow it are answered."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    one.engine.gates[ISSUER].note(AWAY)
    await world.passes(600, one)
    assert one.engine.gates[ISSUER].failing.first_at is None
    world.issuer.down = AWAY
    await refused(one, caller)


async def test_a_replica_that_has_not_looked_around_bridges_nothing() -> None:
    """It cannot know what the others see."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    one.engine.replicas._looked_at = float("-inf")
    await refused(one, caller)


@pytest.mark.parametrize(
    ("scopes", "audience"),
    [
        (None, SE1),
        ("storage.read:/x", "https://se2.example.org"),
        ("storage.read:/", ""),
        ("storage.read:/a+b", SE1),
    ],
)
async def test_what_a_bridge_does_not_reach_is_refused_as_before(
    scopes: str | None, audience: str
) -> None:
    """By the words of the outage."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.rewrite(scopes=ScopeSet.parse("storage.modify:/ storage.read:/"))
    await world.goes_out(600, one)
    with pytest.raises(CredbrokerError):
        await mint(one, caller, scopes, *([audience] if audience else []))
    assert "bridge" not in world.audit.events()


async def test_a_grant_that_was_not_refreshed_for_long_is_not_bridged() -> None:
    """Six hours before the outage, and not one second more."""
    world = await OutageWorld.made(refreshed_within_seconds=HOUR)
    one, caller = await world.ready()
    world.clock.advance(HOUR + 60)
    await world.goes_out(600, one)
    await refused(one, caller)


async def test_no_token_outlives_a_day_of_the_outage() -> None:
    """The last ones live shorter, and then there are none."""
    world = await OutageWorld.made(most_seconds=1200)
    one, caller = await world.ready()
    began = world.clock.now()
    await world.goes_out(600, one)
    token = await mint(one, caller, "storage.read:/a", SE1)
    assert token.expires_at <= began + datetime.timedelta(minutes=20)
    await world.passes(570, one)
    await refused(one, caller, "storage.read:/b")


async def test_the_same_wish_is_given_the_same_token_while_that_is_young() -> None:
    """A crowd that asks in an outage costs one signature each half of its life."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    token = await mint(one, caller, "storage.read:/a", SE1)
    assert await mint(one, caller, "storage.read:/a", SE1) is token
    await world.passes(1000, one)
    assert await mint(one, caller, "storage.read:/a", SE1) is not token
    assert world.audit.events().count("bridge") == 2


async def test_once_the_issuer_answers_its_own_tokens_are_given() -> None:
    """What was signed meanwhile is given to nobody any more."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    bridged = await mint(one, caller, "storage.read:/a", SE1)
    world.issuer.down = None
    await world.passes(60, one)
    one.engine.gates[ISSUER].offer(None)
    token = await mint(one, caller, "storage.read:/a", SE1)
    assert (bridged.issuer_url, token.issuer_url) == (world.signing.url, world.issuer.url)
    assert await world.ended() is None


@pytest.mark.parametrize("verdict", [SUSPENDED, GONE])
async def test_the_first_refresh_that_is_refused_ends_what_was_signed(verdict: Outcome) -> None:
    """At whichever replica it is made: every token from before counts no more."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    token = await mint(one, caller, "storage.read:/a", SE1)
    world.issuer.down, world.issuer.standing = None, verdict
    two, other = await world.ready("replica-2")
    with pytest.raises((GrantPaused, LoginNeeded)):
        await mint(two, other, "storage.read:/b", SE1)
    await two.deeds.finish()
    ended = await world.ended()
    assert ended is not None
    assert token.issued_at < ended.before
    assert "the issuer refused" in str(world.audit.last("contained")["reason"])


async def test_what_is_refused_without_a_bridge_ends_nothing() -> None:
    """Nothing was signed that could be ended."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    world.issuer.standing = SUSPENDED
    with pytest.raises(GrantPaused):
        await mint(one, caller, "storage.read:/a", SE1)
    await one.deeds.finish()
    assert world.grant.state is GrantState.PAUSED
    assert await world.ended() is None


async def test_a_refusal_is_followed_up_until_the_store_takes_it() -> None:
    """It was away just then."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    await mint(one, caller, "storage.read:/a", SE1)
    world.issuer.down, world.issuer.standing = None, SUSPENDED
    world.revocations.fail_next(StoreUnavailable("x"), on="put")
    two, other = await world.ready("replica-2")
    with pytest.raises(GrantPaused):
        await mint(two, other, "storage.read:/b", SE1)
    await world.clock.pass_time(11)
    assert await world.ended() is not None


async def test_nothing_is_signed_before_it_is_on_record_and_on_the_trail() -> None:
    """Else a later refusal would not know what to end."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    world.issuer_marks.fail_next(StoreUnavailable("x"), on="put")
    with pytest.raises(StoreUnavailable):
        await mint(one, caller, "storage.read:/a", SE1)
    world.audit.refused.add("bridge")
    with pytest.raises(AuditUnavailable):
        await mint(one, caller, "storage.read:/a", SE1)


async def test_a_contained_person_is_not_signed_for() -> None:
    """An operator's word outranks the bridge."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    await one.engine.containing.revoke(Kind.PERSON, f"{ISSUER}/{KEY.credkey}")
    with pytest.raises(LeaseEnded):
        await mint(one, caller, "storage.read:/a", SE1)


# -- what would make it reach further -----------------------------------------------------------


async def test_a_replica_that_stood_still_does_not_go_by_what_it_saw_before() -> None:
    """Frozen for an hour, in which the issuer came back: it looks again before it signs."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    for _ in range(3):
        one.engine.gates[ISSUER].note(AWAY)  # it is left alone until a trial is due
    world.issuer.down = None
    world.clock.advance(HOUR)
    await refused(one, caller)
    assert "bridge" not in world.audit.events()


async def test_what_other_replicas_saw_long_ago_makes_no_outage() -> None:
    """This one still sees it fail, but has not heard of them for a minute."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    two, _ = await world.ready("replica-2")
    await world.goes_out(600, one, two)
    world.clock.advance(60)
    one.engine.gates[ISSUER].note(AWAY)
    await refused(one, caller)


async def test_a_login_in_doubt_since_before_the_outage_is_not_bridged() -> None:
    """Though its one retry is still to come."""
    world = await OutageWorld.made()
    world.issuer.rule = Rule(UnclearRule.ONCE_MORE)
    await world.rewrite(state=GrantState.IN_DOUBT, posts=1)
    one, caller = await world.ready()
    await world.goes_out(600, one)
    await refused(one, caller)


async def test_an_ended_token_is_not_given_again_in_the_next_outage() -> None:
    """The replica that was told of the refusal was another one."""
    world = await OutageWorld.made()
    one, caller = await world.ready()
    await world.goes_out(600, one)
    token = await mint(one, caller, "storage.read:/a", SE1)
    await one.engine.containing.revoke(Kind.CLIENT, "dteam/sub-ada")
    assert (await mint(one, caller, "storage.read:/a", SE1)).jti != token.jti


async def test_a_person_with_a_services_name_stops_no_service() -> None:
    """Neither is one signed for, nor does a refusal end what the service has."""
    world = await OutageWorld.made()
    by = world.signed_here.bridges[ISSUER]
    limits = replace(by.limits, services=frozenset({"sub-ada"}))
    world.signed_here = SignedHere(bridges={ISSUER: replace(by, limits=limits)})
    one, caller = await world.ready()
    await world.goes_out(600, one)
    await refused(one, caller)
    await one.engine.marks.note_bridged(ISSUER, world.clock.now() + datetime.timedelta(hours=1))
    world.issuer.down, world.issuer.standing = None, SUSPENDED
    two, other = await world.ready("replica-2")
    with pytest.raises(GrantPaused):
        await mint(two, other, "storage.read:/b", SE1)
    await two.deeds.finish()
    assert await world.ended() is None


async def test_people_of_our_own_are_bridged_by_the_last_word_about_them() -> None:
    """Where all their tokens are signed here, an outage is the same; also at a new replica."""
    world = await OutageWorld.made()
    world.signed_here = SignedHere(
        {ISSUER: people_of(world, world.signing, RIGHTS)}, world.signed_here.bridges
    )
    world.issuer.widen = _vouched
    one, caller = await world.ready()
    first = await mint(one, caller, "storage.read:/a", SE1)
    await world.goes_out(LIFE + 60, one)
    two, other = await world.ready("replica-2")
    two.engine.gates[ISSUER].failing = one.engine.gates[ISSUER].failing
    await world.passes(60, one, two)
    for replica, who in ((one, caller), (two, other)):
        token = await mint(replica, who, "storage.read:/b", SE1)
        assert token.jti != first.jti
        with pytest.raises(OutsideCeiling):
            await mint(replica, who, "compute.create", SE1)
    assert world.audit.events().count("bridge") == 2


def _vouched(token: AccessToken) -> AccessToken:
    return replace(token, groups=("/dteam",))
