"""Tokens for people are signed here by what their issuer vouches for, and its own reach nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credbroker.broker.engine import SignedHere
from credbroker.broker.leasing import Caller
from credbroker.domain.attenuation import Ceiling, Wanted
from credbroker.domain.errors import (
    AudienceRefused,
    CredbrokerError,
    GrantPaused,
    IssuerUnreachable,
    LoginNeeded,
    NotAllowed,
    OutsideCeiling,
    ScopeRefused,
    StoreUnavailable,
)
from credbroker.domain.outcomes import Dead, NotActedOn
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from tests.fakes.signing import have_withdrawn
from tests.unit.broker.issuing.people_world import SE1, SE2, PeopleWorld, mint
from tests.unit.broker.world import ISSUER, KEY, ROLE, Replica

LIFE = 1200
HOUR = 3600


async def test_a_person_is_given_what_their_groups_allow_signed_here() -> None:
    """About their own subject, verified like any token of the community."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    token = await mint(replica, caller, "storage.read:/data", SE1)
    known = await world.signing.verify(token.value)
    assert known.token.issuer_url == world.signing.url
    assert (known.token.subject, known.client_id) == ("sub-ada", world.issuer.client_id)
    assert (str(known.token.scopes), known.token.audiences) == ("storage.read:/data", (SE1,))
    assert known.token.groups == ()
    assert known.token.seconds_left(world.clock.now()) == HOUR


async def test_who_names_nothing_gets_all_that_the_rules_give_at_once() -> None:
    """Groups beside capabilities only for who asks for them."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    token = await mint(replica, caller)
    assert (str(token.scopes), token.audiences) == ("storage.read:/ compute.read", (SE1, SE2))
    assert token.groups == ()
    named = await mint(replica, caller, "storage.read:/ wlcg.groups", SE1)
    assert named.groups == ("/dteam",)


async def test_a_persons_token_of_a_withdrawn_key_is_signed_anew() -> None:
    """No service takes the one at hand any more."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    first = await mint(replica, caller, "storage.read:/data", SE1)
    assert await mint(replica, caller, "storage.read:/data", SE1) == first
    await have_withdrawn(world.signing, first.key_id)
    assert (await mint(replica, caller, "storage.read:/data", SE1)).key_id != first.key_id


@pytest.mark.parametrize(
    ("scopes", "audience", "error"),
    [
        ("storage.modify:/home", SE1, OutsideCeiling),
        ("storage.create:/", SE1, OutsideCeiling),
        ("wlcg.groups:/other", SE1, OutsideCeiling),
        ("storage.read:/", "https://se3.example.org", AudienceRefused),
        ("storage.read:/", "https://wlcg.cern.ch/jwt/v1/any", AudienceRefused),
        ("storage.read:/a+b", SE1, ScopeRefused),
    ],
)
async def test_what_no_rule_gives_is_not_signed(
    scopes: str, audience: str, error: type[CredbrokerError]
) -> None:
    """Whatever the issuer's own token allows."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    with pytest.raises(error):
        await mint(replica, caller, scopes, audience)
    assert {"sign", "mint"}.isdisjoint(world.audit.events())


async def test_a_storage_scope_is_signed_for_the_storage_of_its_rule_alone() -> None:
    """Though another rule gives other scopes at the other one."""
    world = await PeopleWorld.made()
    world.claim("/dteam", entitlements=("urn:writers#x",))
    replica, caller = await world.ready()
    token = await mint(replica, caller, "storage.modify:/home/x", SE1)
    assert str(token.scopes) == "storage.modify:/home/x"
    with pytest.raises(OutsideCeiling):
        await mint(replica, caller, "storage.modify:/home/x", SE2)


async def test_a_person_without_a_rule_has_nothing() -> None:
    """However well they logged in."""
    world = await PeopleWorld.made()
    world.claim("/other")
    replica, caller = await world.ready()
    with pytest.raises(ScopeRefused, match="No rule"):
        await mint(replica, caller)


async def test_a_group_that_was_lost_counts_from_the_next_refresh_on() -> None:
    """Also for the token at hand, which is given to nobody any more."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    token = await mint(replica, caller, "storage.read:/", SE1)
    world.claim("/other")
    world.clock.advance(60)
    assert await mint(replica, caller, "storage.read:/", SE1) is token
    world.clock.advance(LIFE)
    with pytest.raises(ScopeRefused):
        await mint(replica, caller, "storage.read:/", SE1)


async def test_a_new_token_rests_on_a_word_that_is_not_due() -> None:
    """Half-way through the life of the issuer's token it is asked anew before anything is signed."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    await mint(replica, caller, "storage.read:/a", SE1)
    world.clock.advance(LIFE / 2 + 1)
    world.claim("/other")
    with pytest.raises(ScopeRefused):
        await mint(replica, caller, "storage.read:/b", SE1)
    assert world.audit.events().count("sign") == 1


async def test_many_rights_cost_one_word_of_the_issuer() -> None:
    """Nothing of what is signed takes a use of the refresh token."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    for number in range(20):
        await mint(replica, caller, f"storage.read:/{number}", SE1)
    assert sum(world.issuer.posts.values()) == 1
    assert not replica.minting.narrows_by_refresh(world.grant)


async def test_the_lease_and_the_role_still_narrow() -> None:
    """Rules give the most; who holds less asks for no more."""
    world = await PeopleWorld.made()
    world.rules.audiences[ISSUER, ROLE] = (SE1,)  # type: ignore[index]  # a dict in tests
    replica, caller = await world.ready()
    assert (await mint(replica, caller, "storage.read:/")).audiences == (SE1,)
    with pytest.raises(OutsideCeiling, match="outside the role"):
        await mint(replica, caller, "storage.read:/", SE2)
    assert (await mint(replica, caller)).audiences == (SE1,)
    object.__setattr__(caller.lease, "ceiling", Ceiling(ScopeSet.parse("storage.read:/job")))
    assert str((await mint(replica, caller)).scopes) == "storage.read:/job"
    with pytest.raises(OutsideCeiling):
        await mint(replica, caller, "storage.read:/")


async def test_the_issuers_own_token_is_handed_to_nobody() -> None:
    """Not even where it would be for the very same right, nor by another replica."""
    world = await PeopleWorld.made()
    one, caller = await world.ready()
    two, other = await world.ready("replica-2")
    whole = one.minting.whole_right(world.grant)
    assert whole.audiences == ()
    for replica, who in ((one, caller), (two, other)):
        for scopes in (None, "storage.read:/", "compute.read"):
            token = await mint(replica, who, scopes)
            theirs = {Secret("access token", one).digest() for one in world.issuer.issued}
            assert token.value.digest() not in theirs
            assert token.audiences


# -- trouble -------------------------------------------------------------------------------------


async def test_while_the_issuer_is_away_its_last_word_counts_as_long_as_it_lives() -> None:
    """Then what is at hand is served, and nothing new is signed."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    held = await mint(replica, caller, "storage.read:/a", SE1)
    world.issuer.down = IssuerUnreachable("The issuer does not answer.")
    world.clock.advance(LIFE / 2 + 1)
    assert str((await mint(replica, caller, "storage.read:/b", SE1)).scopes) == "storage.read:/b"
    world.clock.advance(LIFE / 2)
    with pytest.raises(IssuerUnreachable):
        await mint(replica, caller, "storage.read:/c", SE1)
    assert await mint(replica, caller, "storage.read:/a", SE1) is held
    world.clock.advance(HOUR)
    with pytest.raises(IssuerUnreachable):
        await mint(replica, caller, "storage.read:/a", SE1)


async def test_a_refused_refresh_ends_signing_at_once() -> None:
    """A word that still lives does not help who was suspended since."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    held = await mint(replica, caller, "storage.read:/a", SE1)
    world.issuer.standing = NotActedOn(GrantPaused("The issuer has suspended this account."))
    world.clock.advance(LIFE / 2 + 1)
    for path in "bc":
        with pytest.raises(GrantPaused):
            await mint(replica, caller, f"storage.read:/{path}", SE1)
    assert await mint(replica, caller, "storage.read:/a", SE1) is held
    assert world.audit.events().count("sign") == 1


async def test_who_must_log_in_again_is_told_so() -> None:
    """By the first answer."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    world.issuer.standing = Dead(LoginNeeded("The issuer no longer accepts this login."))
    with pytest.raises(LoginNeeded):
        await mint(replica, caller, "storage.read:/a", SE1)


async def test_a_token_about_somebody_else_vouches_for_nobody() -> None:
    """Signed by the issuer as it may be."""
    world = await PeopleWorld.made()
    world.issuer.widen = lambda one: replace(one, subject="sub-bob", groups=("/dteam",))
    replica, caller = await world.ready()
    with pytest.raises(CredbrokerError, match="another issuer or person"):
        await mint(replica, caller, "storage.read:/a", SE1)


async def test_without_recent_marks_nothing_is_signed() -> None:
    """The signing itself asks for them."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    world.signing._marks.is_fresh = False  # type: ignore[misc]  # the fake has it settable
    world.signing._marks.error = StoreUnavailable("x")  # type: ignore[attr-defined]  # the fake has it
    with pytest.raises(StoreUnavailable):
        await mint(replica, caller, "storage.read:/a", SE1)


# -- the trail -----------------------------------------------------------------------------------


async def test_the_trail_says_who_was_given_what_by_whose_word() -> None:
    """One line of what was signed, one of who got it; never the token."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    token = await mint(replica, caller, "storage.read:/a", SE1)
    line = world.audit.last("sign")
    assert (line["by"], line["subject_jti"]) == ("rights", "jti-1")
    assert (line["jti"], line["issuer"], line["credkey"]) == (token.jti, ISSUER, KEY.credkey)
    assert (line["sub"], line["iss"]) == ("sub-ada", world.signing.url)
    assert world.audit.last("mint")["jti"] == token.jti
    assert token.value.digest() == line["sha256"]


# -- users of an access point ---------------------------------------------------------------------


async def about(
    replica: Replica, caller: Caller, user: str, scopes: str | None = None
) -> AccessToken:
    """Mint about a user of the caller's host."""
    wanted = Wanted(None if scopes is None else ScopeSet.parse(scopes), (SE1,), about=user)
    return (await replica.minting.mint_access_token(caller, wanted)).token


async def test_an_access_point_has_tokens_signed_about_its_users() -> None:
    """Each about one user, who acts for whom standing beside it."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    for user in ("alice", "bob"):
        token = await about(replica, caller, user, f"storage.create:/home/{user}")
        known = await world.signing.verify(token.value)
        assert (known.token.subject, known.actor) == (user, {"sub": "sub-ada"})
        with pytest.raises(OutsideCeiling):
            await about(replica, caller, user, "storage.create:/home/other")
    line = world.audit.last("sign")
    assert (line["by"], line["sub"], line["credkey"]) == ("local_users", "bob", KEY.credkey)
    assert str((await about(replica, caller, "bob")).scopes) == (
        "storage.read:/ storage.create:/home/bob"
    )


@pytest.mark.parametrize("user", ["", "../bob", "a b"])
async def test_a_name_that_is_none_is_refused(user: str) -> None:
    """It would go into a path."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    with pytest.raises(ScopeRefused):
        await about(replica, caller, user)


async def test_nobody_else_has_tokens_signed_about_others() -> None:
    """Neither a job, nor a lease that reaches less far, nor who is named in no rule."""
    world = await PeopleWorld.made()
    replica, caller = await world.ready()
    object.__setattr__(caller.lease, "ceiling", Ceiling(ScopeSet.parse("storage.read:/job")))
    assert str((await about(replica, caller, "bob")).scopes) == "storage.read:/job"
    with pytest.raises(OutsideCeiling):
        await about(replica, caller, "bob", "storage.read:/")
    object.__setattr__(caller.lease, "ancestors", ("another",))
    object.__setattr__(caller.lease, "job", "job 1")
    with pytest.raises(NotAllowed):
        await about(replica, caller, "bob")


async def test_where_nothing_is_signed_here_every_token_is_about_who_logged_in() -> None:
    """The issuer is not even asked."""
    world = await PeopleWorld.made()
    world.signed_here = SignedHere()
    replica, caller = await world.ready()
    with pytest.raises(OutsideCeiling, match="who logged in"):
        await about(replica, caller, "bob")
    assert sum(world.issuer.posts.values()) == 0
