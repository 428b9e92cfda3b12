"""What a service revokes counts no more anywhere; what it may see of a token is little."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from credbroker.domain.errors import StoreUnavailable, TokenRefused
from credbroker.domain.revocations import Kind
from credbroker.domain.secret import Secret
from tests.fakes.clock import turns
from tests.unit.broker.issuing.granting_world import (
    COMMUNITY,
    FTS,
    RUCIO,
    SE1,
    SE2,
    GrantingWorld,
    asked,
)

if TYPE_CHECKING:
    from tests.unit.broker.issuing.granting_world import IssuingReplica


async def refresh_token(world: GrantingWorld, replica: IssuingReplica) -> Secret:
    """Give FTS a refresh token for a token of Rucio's."""
    subject = await world.subject(replica)
    granted = await replica.granting.exchange(world.caller(FTS), asked(), subject, refresh=True)
    assert granted.refresh_token is not None
    return granted.refresh_token


async def test_a_revoked_access_token_is_no_grant_any_more() -> None:
    """At every replica that has read the marks since; they are kept until it would have expired."""
    world = GrantingWorld()
    replica, other = await world.replica(), await world.replica()
    subject = await world.subject(other, "storage.read:/data")
    await replica.revoking.revoke(world.caller(RUCIO), subject)
    assert world.audit.last("token_revoked")["client_id"] == "rucio"
    assert await replica.revoking.look(world.caller(FTS), subject) == {"active": False}
    world.clock.advance(2)
    await other.containing.read()
    with pytest.raises(TokenRefused, match="revoked"):
        await other.granting.exchange(world.caller(FTS), asked(), subject)
    marks = world.marks.newest(Kind.TOKEN.value).marks
    (mark,) = marks.values()
    assert (mark.kept_until - mark.before).total_seconds() == 3600
    assert (await replica.containing.contained())[Kind.TOKEN] == {}


async def test_nothing_happens_to_what_is_not_the_clients() -> None:
    """RFC 7009 section 2.2: what is unknown counts as done; what is somebody else's goes on."""
    world = GrantingWorld()
    replica = await world.replica()
    subject, text = await world.subject(replica), await refresh_token(world, replica)
    for client, shown in (
        (FTS, subject),
        (RUCIO, text),
        (FTS, Secret("token", "nonsense")),
        (FTS, Secret("token", f"{'i' * 22}.1.{'x' * 43}")),
    ):
        await replica.revoking.revoke(world.caller(client), shown)
    assert "token_revoked" not in world.audit.events()
    assert "offline_ended" not in world.audit.events()
    await replica.granting.refresh(world.caller(FTS), asked(), text)


async def test_a_revoked_refresh_token_is_over() -> None:
    """Its access tokens live on for as long as they do (RFC 7009 section 2.1 leaves that open)."""
    world = GrantingWorld()
    replica = await world.replica()
    text = await refresh_token(world, replica)
    await replica.revoking.revoke(world.caller(FTS), text)
    with pytest.raises(TokenRefused):
        await replica.granting.refresh(world.caller(FTS), asked(), text)
    assert await replica.revoking.look(world.caller(FTS), text) == {"active": False}


async def test_a_revocation_that_is_not_stored_is_not_promised() -> None:
    """It is said in time, carried on with, and written down once it is so."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    world.marks.put_seconds = 30.0
    asking = asyncio.ensure_future(replica.revoking.revoke(world.caller(RUCIO), subject))
    await turns()
    world.clock.advance(2.5)
    with pytest.raises(StoreUnavailable):
        await asking
    await world.clock.pass_time(120)
    assert await replica.revoking.look(world.caller(RUCIO), subject) == {"active": False}
    assert world.audit.last("token_revoked")["client_id"] == "rucio"


async def test_a_token_that_counts_is_described_briefly() -> None:
    """RFC 7662 section 2.2; no groups, no actors."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica, "storage.read:/data", SE1, SE2)
    claims = dict(await replica.revoking.look(world.caller(FTS), subject))
    jti = claims.pop("jti")
    noon = int(world.clock.now().timestamp())
    assert isinstance(jti, str)
    assert claims == {
        "active": True, "token_type": "Bearer", "iss": replica.signing.url, "sub": "rucio",
        "client_id": "rucio", "aud": [SE1, SE2], "scope": "storage.read:/data",
        "exp": noon + 3600, "iat": noon, "nbf": noon - 60,
    }  # fmt: skip


async def test_a_refresh_token_is_described_to_its_client_alone() -> None:
    """To everybody else it is as if there were none."""
    world = GrantingWorld()
    replica = await world.replica()
    text = await refresh_token(world, replica)
    claims = await replica.revoking.look(world.caller(FTS), text)
    assert (claims["active"], claims["client_id"], claims["sub"]) == (True, "fts", "rucio")
    assert claims["scope"] == "storage.read:/data"
    assert await replica.revoking.look(world.caller(RUCIO), text) == {"active": False}


async def test_what_is_contained_or_over_is_not_active() -> None:
    """Neither is what nobody here signed."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    look = replica.revoking.look
    assert (await look(world.caller(FTS), subject))["active"] is True
    await replica.containing.revoke(Kind.CLIENT, f"{COMMUNITY}/rucio")
    assert await look(world.caller(FTS), subject) == {"active": False}
    await replica.containing.lift(Kind.CLIENT, f"{COMMUNITY}/rucio")
    await replica.containing.read()
    world.clock.advance(3600)
    assert await look(world.caller(FTS), subject) == {"active": False}
    assert await look(world.caller(FTS), Secret("token", "nonsense")) == {"active": False}


async def test_nothing_is_called_active_without_recent_marks() -> None:
    """It may have been revoked elsewhere."""
    world = GrantingWorld()
    replica = await world.replica()
    subject = await world.subject(replica)
    world.clock.advance(31)
    world.marks.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    with pytest.raises(StoreUnavailable):
        await replica.revoking.look(world.caller(FTS), subject)
