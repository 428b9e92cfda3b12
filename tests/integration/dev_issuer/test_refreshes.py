"""Refresh tokens in use: each policy, narrowing, revocation; and what access tokens open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer import DeadAnswer, RefreshPolicy
from tests.integration.dev_issuer.world import BROKER, FOREIGN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.dev_issuer.world import World


@pytest.mark.parametrize(
    ("policy", "same_value", "old_works", "new_survives_reuse"),
    [
        (RefreshPolicy.REUSE, True, True, True),
        (RefreshPolicy.ROTATE, False, False, True),
        (RefreshPolicy.ROTATE_REVOKE_FAMILY, False, False, False),
    ],
)
async def test_each_refresh_policy(
    make_world: Callable[..., Any],
    policy: RefreshPolicy,
    same_value: bool,
    old_works: bool,
    new_survives_reuse: bool,
) -> None:
    """What comes back, what the old value still does, and what its reuse kills."""
    world = await make_world(refresh_policy=policy)
    old = (await world.log_in())["refresh_token"]
    _, answer = await world.refresh(old)
    new = answer["refresh_token"]
    assert (new == old) is same_value
    status, answer = await world.refresh(old)
    assert (status == 200) is old_works
    assert old_works or answer["error"] == "invalid_token"
    assert ((await world.refresh(new))[0] == 200) is new_survives_reuse


async def test_a_dead_refresh_token_may_be_refused_by_the_standard(
    make_world: Callable[..., Any],
) -> None:
    """400 `invalid_grant` instead of IAM's 401 `invalid_token`."""
    world = await make_world(dead_answer=DeadAnswer.STANDARD)
    status, answer = await world.refresh("never-issued")
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_a_foreign_client_destroys_a_refresh_token(world: World) -> None:
    """The owner's next refresh finds it dead."""
    value = (await world.log_in())["refresh_token"]
    status, answer = await world.refresh(value, **FOREIGN)
    assert (status, answer["error"]) == (401, "invalid_client")
    assert (await world.refresh(value))[1]["error"] == "invalid_token"


async def test_a_refresh_narrows_and_never_widens(world: World) -> None:
    """Sub-paths pass, siblings by letters do not, and a refusal costs nothing."""
    value = (await world.log_in())["refresh_token"]
    status, answer = await world.refresh(value, scope="storage.create:/x")
    assert (status, answer["error"]) == (400, "invalid_scope")
    _, answer = await world.refresh(value, scope="storage.read:/x", audience="https://a https://b")
    claims = await world.verified(answer["access_token"])
    assert (claims["scope"], claims["aud"]) == ("storage.read:/x", ["https://a", "https://b"])


async def test_revoking_ends_a_refresh_token(world: World) -> None:
    """Its owner only; an unknown one is fine; introspection agrees."""
    value = (await world.log_in())["refresh_token"]
    form = {"token": value}
    assert (await world.post("introspect", form | BROKER))[1]["active"] is True
    assert (await world.post("revoke", form | FOREIGN))[0] == 403
    assert (await world.post("revoke", form | BROKER))[0] == 200
    assert (await world.post("revoke", {"token": "unknown"} | BROKER))[0] == 200
    assert (await world.post("introspect", form | BROKER))[1] == {"active": False}
    assert (await world.refresh(value))[0] == 401


async def test_an_access_token_opens_userinfo_until_it_ends(world: World) -> None:
    """It is active until revoked or expired."""
    first, second = [await world.log_in() for _ in range(2)]
    bearer = [f"Bearer {one['access_token']}" for one in (first, second)]
    assert (await world.get("userinfo", bearer[0]))[1]["preferred_username"] == "alice"
    await world.post("revoke", {"token": first["access_token"]} | BROKER)
    assert (await world.get("userinfo", bearer[0]))[0] == 401
    assert (await world.get("userinfo", f"Bearer {second['id_token']}"))[0] == 401
    form = {"token": second["access_token"]} | BROKER
    assert (await world.post("introspect", form))[1]["active"] is True
    world.clock.advance(3600)
    assert (await world.get("userinfo", bearer[1]))[0] == 401
    assert (await world.post("introspect", form))[1] == {"active": False}
