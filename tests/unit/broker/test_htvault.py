"""What stands in for an HTVault works over the same engine and stores as everything else."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.htvault import EXPIRE_SECONDS
from credbroker.domain.errors import LeaseUnknown, StoreUnavailable
from credbroker.domain.secret import Secret
from credbroker.ports import PassedOn
from tests.fakes.clock import turns
from tests.unit.broker.htvault_world import deeds_of
from tests.unit.broker.world import ISSUER, ORIGIN, ROLE, World


async def test_a_login_through_a_browser_begins_at_our_own_page() -> None:
    """Nothing is stored for it."""
    world = World()
    begun = await deeds_of(world).confirming.begin(ISSUER, ROLE, "nonce", ORIGIN)
    assert begun.auth_url.startswith("https://broker.test/login/")
    assert not world.confirmed.history


async def test_where_no_htvault_was_before_a_foreign_vault_token_is_unknown() -> None:
    """It is passed on to nobody."""
    passed_on = PassedOn("GET", "/v1/auth/token/lookup-self", Secret("vault token", "s.old"))
    with pytest.raises(LeaseUnknown):
        await deeds_of(World()).legacy.pass_on(passed_on, ORIGIN, about=None)


async def test_waiting_logins_are_looked_through_again_after_a_failure() -> None:
    """A store that is away for a while ends nothing."""
    world = World()
    running = asyncio.ensure_future(deeds_of(world).expire_for_ever())
    world.confirmed.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))
    for _ in range(2):
        await turns()
        assert not running.done()
        world.clock.advance(EXPIRE_SECONDS)
    running.cancel()
