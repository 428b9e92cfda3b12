"""What a person, a suspended one or an access point cannot get by clever requests or good timing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.custody.refreshing import Wish
from credbroker.domain.attenuation import ANY_AUDIENCE, Ceiling, Wanted
from credbroker.domain.errors import (
    CredbrokerError,
    GrantPaused,
    LoginNeeded,
    OutsideCeiling,
    ScopeRefused,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome
from credbroker.domain.revocations import Kind
from credbroker.domain.rights import Rights, RightsRule, When
from credbroker.domain.scopes import ScopeSet
from tests.unit.broker.issuing.people_world import SE1, PeopleWorld, mint
from tests.unit.broker.world import GRANTED, ISSUER

LIFE = 1200
SUSPENDED = NotActedOn(GrantPaused("The issuer has suspended this account."))
GONE = Dead(LoginNeeded("The issuer no longer accepts this login."))


async def wide_world() -> PeopleWorld:
    """Return a world in which the rules give for every audience what the issuer's own token gives."""
    world = await PeopleWorld.made()
    rule = RightsRule(When(groups=("/dteam",)), GRANTED.rights(), (ANY_AUDIENCE,))
    world.have_rules(Rights((rule,)))
    world.issuer.widen = lambda one: replace(one, groups=("/dteam",))
    return world


@pytest.mark.parametrize("by_lease", [True, False])
async def test_who_names_no_audience_at_all_is_not_given_the_issuers_own_token(
    by_lease: bool,
) -> None:
    """Though an empty list is within every audience, and the right is then the issuer's whole one."""
    world = await wide_world()
    replica, caller = await world.ready()
    if by_lease:
        object.__setattr__(caller.lease, "ceiling", Ceiling(None, ()))
    wanted = Wanted(GRANTED.rights(), None if by_lease else ())
    for _ in range(2):
        try:
            token = (await replica.minting.mint_access_token(caller, wanted)).token
        except CredbrokerError:
            continue
        assert token.issuer_url == world.signing.url


@pytest.mark.parametrize("verdict", [SUSPENDED, GONE])
async def test_a_refusal_that_came_to_the_keeper_ends_signing_too(verdict: Outcome) -> None:
    """No caller was there; the word that is held still lives."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    await mint(replica, caller, "storage.read:/a", SE1)
    world.issuer.standing = verdict
    whole = replica.minting.whole_right(world.grant)
    kept = Wish(world.grant.key, world.grant.line, whole, kept=True)
    with pytest.raises((GrantPaused, LoginNeeded)):
        await replica.refreshing.refresh(kept, 9.0)
    world.clock.advance(10)
    with pytest.raises((GrantPaused, LoginNeeded)):
        await mint(replica, caller, "storage.read:/b", SE1)


@pytest.mark.parametrize("verdict", [SUSPENDED, GONE])
async def test_a_refusal_that_another_replica_heard_ends_signing_here(verdict: Outcome) -> None:
    """Within seconds: the grant is on record as refused."""
    world = await PeopleWorld.made()
    one, caller = await world.ready()
    two, other = await world.ready("replica-2")
    for replica, who in ((one, caller), (two, other)):
        token = await mint(replica, who, "storage.read:/a", SE1)
        assert await mint(replica, who, "storage.read:/a", SE1) is token
    world.issuer.standing = verdict
    world.clock.advance(LIFE / 2 - 20)
    whole = two.minting.whole_right(world.grant)
    with pytest.raises((GrantPaused, LoginNeeded)):
        await two.refreshing.refresh(Wish(world.grant.key, world.grant.line, whole, kept=True), 9.0)
    world.clock.advance(10)
    with pytest.raises((GrantPaused, LoginNeeded)):
        await mint(one, caller, "storage.read:/b", SE1)


async def test_a_token_at_hand_that_was_contained_is_not_given_again() -> None:
    """Neither by its own name nor by its subject's; a new one is signed."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    first = await mint(replica, caller, "storage.read:/a", SE1)
    await replica.engine.containing.revoke(Kind.TOKEN, first.jti)
    second = await mint(replica, caller, "storage.read:/a", SE1)
    assert second.jti != first.jti
    await replica.engine.containing.revoke(Kind.CLIENT, f"dteam/{first.subject}")
    world.clock.advance(120)
    assert (await mint(replica, caller, "storage.read:/a", SE1)).jti != second.jti


async def test_a_group_by_name_is_given_or_refused_in_words() -> None:
    """Where the rule names them all by the plain scope."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    with pytest.raises(CredbrokerError):
        await mint(replica, caller, "storage.read:/ wlcg.groups:/dteam", SE1)
    with pytest.raises(CredbrokerError):
        await mint(replica, caller, "wlcg.groups", SE1)


async def test_a_trial_at_an_issuer_that_was_out_puts_its_own_token_in_nobodys_way() -> None:
    """It is made for the very right that somebody lives on, and that the issuer gives, too."""
    world = await PeopleWorld.made()
    world.issuer.widen = lambda one: replace(one, groups=("/dteam",))
    replica, caller = await world.ready()
    first = await mint(replica, caller, "storage.read:/", SE1)
    for wish in replica.engine.keeping.candidates(ISSUER):
        await replica.refreshing.refresh(wish, 9.0)
    assert sum(world.issuer.posts.values()) == 2
    assert await mint(replica, caller, "storage.read:/", SE1) is first


@pytest.mark.parametrize("user", [None, "sub-ada"])
async def test_nobody_is_signed_for_under_the_name_of_a_service(user: str | None) -> None:
    """Storage, and an operator who contains one of them, could not tell the two apart."""
    world = await PeopleWorld.made()
    world.signing._services = frozenset({"sub-ada"})
    replica, caller = await world.ready()
    with pytest.raises(ScopeRefused, match="service"):
        await replica.minting.mint_access_token(caller, Wanted(None, (SE1,), about=user))
    assert "sign" not in world.audit.events()


async def test_a_jobs_lease_gives_nothing_of_rights_that_are_gone() -> None:
    """It was made while they were there; neither what is lost nor the rest is given silently."""
    world = await PeopleWorld.made()
    world.claim("/dteam", entitlements=("urn:writers#x",))
    replica, caller = await world.ready()
    wanted = Wanted(ScopeSet.parse("storage.modify:/home/job storage.read:/job"), (SE1,))
    right = await replica.minting.right_of(caller, wanted)
    _, lease = await replica.leasing.make_child(caller, right, job="job 1", seconds=3600)
    job = replace(caller, lease=lease)
    assert (await mint(replica, job)).issuer_url == world.signing.url
    world.claim("/dteam")
    world.clock.advance(LIFE + 1)
    with pytest.raises(OutsideCeiling):
        await mint(replica, job)
    assert str((await mint(replica, job, "storage.read:/job")).scopes) == "storage.read:/job"


async def test_who_logs_out_leaves_no_proof_behind() -> None:
    """What was held of the issuer's word goes with what was signed by it."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    await mint(replica, caller, "storage.read:/a", SE1)
    whole = replica.minting.whole_right(world.grant)
    assert replica.refreshing.proof(world.grant.line, whole) is not None
    await replica.ending.log_out(caller)
    assert replica.refreshing.proof(world.grant.line, whole) is None
