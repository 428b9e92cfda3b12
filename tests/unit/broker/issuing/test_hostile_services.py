"""What a service with a valid secret, or a lost one, cannot get by clever requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from credbroker.broker.issuing.granting import Granted
from credbroker.broker.issuing.signing import Statement
from credbroker.domain.errors import Busy, ClientNotAllowed, ScopeRefused, TokenRefused
from credbroker.domain.revocations import ENDED_BYTES, Kind
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import SigningKey, withdraw
from credbroker.wire.jwt import peek
from tests.unit.broker.issuing.granting_world import (
    COMMUNITY,
    FTS,
    RUCIO,
    SE1,
    SE2,
    GrantingWorld,
    IssuingReplica,
    asked,
    service,
)

DAY = 86400


async def of_a_person(
    replica: IssuingReplica, scope: str = "storage.read:/", groups: tuple[str, ...] = ()
) -> Secret:
    """Return a token that Rucio was given about Ada."""
    said = Statement("ada", "rucio", ScopeSet.parse(scope), (SE1,), 3600, groups)
    return (await replica.signing.sign(said)).value


def acting(granted: Granted) -> object:
    """Return who acts by a token, around who acted before."""
    return peek(granted.token.value)[1].raw("act")


def offline(granted: Granted) -> Secret:
    """Return the refresh token that came."""
    assert granted.refresh_token is not None
    return granted.refresh_token


async def withdraw_key(world: GrantingWorld, replica: IssuingReplica) -> None:
    """Have the operator withdraw the key that signs, and the replica read of it."""
    (segment,) = await world.base.records.segments()
    stored = await world.base.records.get(segment)
    assert stored is not None
    (key,) = replica.signing._keyring.published()
    after = withdraw(stored.value, key.key_id, world.clock.now())
    await world.base.records.put(segment, after, stored.version)
    await replica.signing._keyring.read()


# -- the same token again ------------------------------------------------------------------------


async def test_a_token_of_a_withdrawn_key_is_not_given_again() -> None:
    """No service takes it any more."""
    client = service("rucio", reuse_seconds=600)
    world = GrantingWorld(client)
    replica = await world.replica()
    first = await replica.granting.client_credentials(world.caller(client), asked())
    await withdraw_key(world, replica)
    again = await replica.granting.client_credentials(world.caller(client), asked())
    assert again.token.key_id != first.token.key_id


async def test_audiences_in_another_order_get_a_token_of_their_own() -> None:
    """Some services look at the first alone."""
    client = service("rucio", reuse_seconds=600)
    world = GrantingWorld(client)
    granting = (await world.replica()).granting
    caller = world.caller(client)
    one = await granting.client_credentials(caller, asked("storage.read:/", SE1, SE2))
    other = await granting.client_credentials(caller, asked("storage.read:/", SE2, SE1))
    assert (one.token.audiences, other.token.audiences) == ((SE1, SE2), (SE2, SE1))


# -- exchange ------------------------------------------------------------------------------------


async def test_nobody_else_is_named_as_who_acts() -> None:
    """An actor's token is about the service itself: it may hold others' in good right."""
    world = GrantingWorld()
    replica = await world.replica()
    subject, person = await world.subject(replica), await of_a_person(replica)
    about_ada = await replica.granting.exchange(world.caller(FTS), asked(), person)
    with pytest.raises(TokenRefused, match="actor"):
        await replica.granting.exchange(
            world.caller(FTS), asked(), subject, actor_token=about_ada.token.value
        )


async def test_an_exchange_gives_no_more_than_was_named() -> None:
    """Who names nothing but what steers a login is not given everything for that."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    with pytest.raises(ScopeRefused, match="at least one scope"):
        await replica.granting.exchange(world.caller(FTS), asked("openid"), subject)
    with_it = await replica.granting.exchange(
        world.caller(FTS), asked("openid storage.read:/data/f"), subject
    )
    assert str(with_it.token.scopes) == "storage.read:/data/f"


async def test_a_group_of_the_token_is_asked_for_by_name() -> None:
    """It is within what the token that is shown says; another one is not."""
    world = GrantingWorld()
    replica = await world.replica()
    scope, groups = "wlcg.groups storage.read:/", ("/dteam", "/dteam/prod")
    subject = await of_a_person(replica, scope, groups)
    asking = asked("wlcg.groups:/dteam/prod storage.read:/")
    granted = await replica.granting.exchange(world.caller(FTS), asking, subject)
    assert granted.token.groups == ("/dteam/prod", "/dteam")
    asking = asked("wlcg.groups:/dteam/admin storage.read:/")
    with pytest.raises(ScopeRefused, match="/dteam/admin"):
        await replica.granting.exchange(world.caller(FTS), asking, subject)


async def test_refresh_tokens_that_say_something_else_are_not_shared() -> None:
    """Who acts, and which group is the first, is part of what one is for."""
    world = GrantingWorld()
    replica = await world.replica()
    scope = "offline_access wlcg.groups:/b wlcg.groups:/a storage.read:/"
    subject = await of_a_person(replica, scope, ("/a", "/b"))
    given = [
        await replica.granting.exchange(world.caller(FTS), asked(one), subject, refresh=True)
        for one in ("wlcg.groups:/b wlcg.groups:/a storage.read:/",
                    "wlcg.groups:/a wlcg.groups:/b storage.read:/")
    ]  # fmt: skip
    assert offline(given[0]) != offline(given[1])
    for one in given:
        fresh = await replica.granting.refresh(world.caller(FTS), asked(), offline(one))
        assert fresh.token.groups == one.token.groups
        assert acting(fresh) == acting(one)


# -- what was ended ------------------------------------------------------------------------------


async def test_the_refresh_token_of_a_revoked_token_stays_ended() -> None:
    """Also once the revoked token itself would have expired."""
    world = GrantingWorld()
    replica = await world.replica()
    replica.signing._keyring._silent_seconds = float("inf")  # nothing reads them here
    subject = await world.subject(replica)
    granted = await replica.granting.exchange(world.caller(FTS), asked(), subject, refresh=True)
    await replica.revoking.revoke(world.caller(RUCIO), subject)
    for _ in range(3):
        with pytest.raises(TokenRefused):
            await replica.granting.refresh(world.caller(FTS), asked(), offline(granted))
        world.clock.advance(DAY)
        # Whatever is marked next drops the marks that are over.
        other = await world.subject(replica)
        await replica.revoking.revoke(world.caller(RUCIO), other)


async def test_what_went_through_a_contained_clients_hands_is_ended() -> None:
    """Whoever was given it by exchange afterwards."""
    middle, last = (
        service("middle", exchanges_for=["rucio"]),
        service("last", exchanges_for=["middle"]),
    )
    world = GrantingWorld(RUCIO, middle, last)
    replica = await world.replica()
    token = await of_a_person(replica)
    for client in (middle, last):
        granted = await replica.granting.exchange(world.caller(client), asked(), token)
        token = granted.token.value
    await replica.granting.exchange(world.caller(last), asked(), token)
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/middle")
    with pytest.raises(TokenRefused, match="operator"):
        await replica.granting.exchange(world.caller(last), asked(), token)
    assert await replica.revoking.look(world.caller(last), token) == {"active": False}


async def test_a_contained_client_is_told_nothing() -> None:
    """Whoever has its secret cannot try what they found with it."""
    world = GrantingWorld()
    replica = await world.replica()
    mine = await replica.granting.client_credentials(world.caller(FTS), asked())
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/rucio")
    with pytest.raises(ClientNotAllowed, match="contained"):
        await replica.revoking.look(world.caller(RUCIO), mine.token.value)


async def test_a_refresh_token_needs_the_settings_that_it_was_given_by() -> None:
    """A service that an operator trusts no more with another's tokens has them no more."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    granted = await replica.granting.exchange(world.caller(FTS), asked(), subject, refresh=True)
    trusted_no_more = replace(FTS, exchanges_for=frozenset())
    with pytest.raises(TokenRefused):
        await replica.granting.refresh(world.caller(trusted_no_more), asked(), offline(granted))


# -- many revocations ----------------------------------------------------------------------------


async def given(world: GrantingWorld, replica: IssuingReplica, count: int) -> list[Secret]:
    """Return so many tokens of Rucio's."""
    said = Statement("rucio", "rucio", ScopeSet.parse("storage.read:/"), (SE1,), 3600)
    return [
        one.value for one in await replica.signing.sign_many([(said, str(said.scopes))] * count)
    ]


async def test_tokens_that_are_revoked_at_once_are_written_at_once() -> None:
    """However many: the reading of the marks has its turn in between, and all replicas go on."""
    world = GrantingWorld()
    replica = await world.replica()
    tokens = await given(world, replica, 100)
    writes = len(world.marks.history)
    await asyncio.gather(*(replica.revoking.revoke(world.caller(RUCIO), one) for one in tokens))
    assert len(world.marks.history) - writes <= 3
    assert len(world.marks.newest(Kind.TOKEN.value).marks) == len(tokens)
    assert world.audit.events().count("token_revoked") == len(tokens)


async def test_what_is_revoked_already_is_not_written_again() -> None:
    """It counts as done (RFC 7009 section 2.2)."""
    world = GrantingWorld()
    replica = await world.replica()
    (token,) = await given(world, replica, 1)
    for _ in range(3):
        await replica.revoking.revoke(world.caller(RUCIO), token)
    assert len(world.marks.history) == 1


async def test_services_leave_room_for_what_operators_end() -> None:
    """Who revokes more than fits is told to come again, and nothing is promised."""
    world = GrantingWorld()
    replica = await world.replica()
    (token,) = await given(world, replica, 1)
    await replica.containing.end_signed(
        "first", (await replica.signing.verify(token)).token.expires_at
    )
    mark = world.marks.newest(Kind.TOKEN.value).marks["first"]
    stored = await world.marks.get(Kind.TOKEN.value)
    assert stored is not None
    many = {f"{number:022}": mark for number in range(ENDED_BYTES // 54)}
    await world.marks.put(Kind.TOKEN.value, replace(stored.value, marks=many), stored.version)
    with pytest.raises(Busy):
        await replica.revoking.revoke(world.caller(RUCIO), token)
    assert "token_revoked" not in world.audit.events()
    await replica.containing.revoke(Kind.TOKEN, peek(token)[1].text("jti"))


# -- what was verified before --------------------------------------------------------------------


async def test_a_token_that_is_shown_again_costs_no_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is judged all the same: by its time, its key, and what was revoked."""
    world = GrantingWorld()
    replica = await world.replica()
    token, other = await given(world, replica, 2)
    checked = 0
    verifies = replica.signing._keyring.verifies

    def counted(key: SigningKey, signed: bytes, signature: bytes) -> bool:
        nonlocal checked
        checked += 1
        return verifies(key, signed, signature)

    monkeypatch.setattr(replica.signing._keyring, "verifies", counted)
    for _ in range(3):
        await replica.granting.exchange(world.caller(FTS), asked(), token)
    assert checked == 1
    await replica.revoking.revoke(world.caller(RUCIO), token)
    with pytest.raises(TokenRefused, match="revoked"):
        await replica.granting.exchange(world.caller(FTS), asked(), token)
    await replica.signing.verify(other)
    world.clock.advance(3600)
    with pytest.raises(TokenRefused, match="expired"):
        await replica.signing.verify(other)


async def test_a_token_of_a_withdrawn_key_is_known_no_more() -> None:
    """Also where it was verified before."""
    world = GrantingWorld()
    replica = await world.replica()
    (token,) = await given(world, replica, 1)
    await replica.signing.verify(token)
    await withdraw_key(world, replica)
    with pytest.raises(TokenRefused, match="not one of this issuer's"):
        await replica.signing.verify(token)


async def test_what_is_none_of_ours_is_never_remembered() -> None:
    """A token with one letter changed is refused again and again, and the right one is not."""
    world = GrantingWorld()
    replica = await world.replica()
    (token,) = await given(world, replica, 1)
    head, claims, signature = token.reveal().split(".")
    forged = Secret("token", ".".join([head, claims[:-1] + chr(ord(claims[-1]) ^ 1), signature]))
    for shown in (forged, forged, Secret("token", "x.y.z"), Secret("token", "\ud800.a.b")):
        with pytest.raises(TokenRefused):
            await replica.signing.verify(shown)
    assert (await replica.signing.verify(token)).client_id == "rucio"
    with pytest.raises(TokenRefused):
        await replica.signing.verify(forged)


# -- who has the name of a service ---------------------------------------------------------------


async def test_nobody_else_has_a_token_about_a_service() -> None:
    """A person whose issuer gave them a service's id as `sub` is not taken for it."""
    world = GrantingWorld()
    replica = await world.replica()
    said = Statement("rucio", "broker", ScopeSet.parse("storage.read:/"), (SE1,), 600)
    with pytest.raises(ScopeRefused, match="service"):
        await replica.signing.sign(said)
    await replica.signing.sign(said._replace(subject="ada"))
    # Who exchanged a service's token acts for it.
    await replica.signing.sign(said._replace(client_id="fts", actor={"sub": "fts"}))
