"""What stands in for an HTVault works over the same engine and stores as everything else."""

from __future__ import annotations

import asyncio

import pytest

from credbroker.broker.confirming import ConfirmingRules
from credbroker.broker.engine import Stores
from credbroker.broker.htvault import EXPIRE_SECONDS, Htvault, HtvaultRules, Proofs, assemble
from credbroker.broker.running import Means
from credbroker.domain.errors import LeaseUnknown, StoreUnavailable
from credbroker.domain.secret import Secret
from credbroker.issuers.ssh_signatures import AgentSignatures
from credbroker.ports import PassedOn
from credbroker.stores.login_seal import AesLoginSeal
from tests.fakes.clock import turns
from tests.unit.broker.world import DAY, ISSUER, ORIGIN, ROLE, World


def deeds_of(world: World) -> Htvault:
    """Return the deeds of a replica without Kerberos, and without an HTVault from before."""
    replica = world.replica()
    stores = Stores(
        world.grants,
        world.leases,
        world.logins,
        world.issuer_marks,
        world.heartbeats,
        world.rewind,
        world.spools[replica.name],
        world.host_marks,
        world.revocations,
        world.narrow,
        world.confirmed,
        world.ssh_keys,
        world.seen,
    )
    seal = AesLoginSeal(Secret("login key", "A" * 43))
    confirming = ConfirmingRules("https://broker.test", frozenset(), 7 * DAY)
    return assemble(
        replica.engine,
        stores,
        {ISSUER: world.issuer},
        proofs=Proofs(seal, AgentSignatures()),
        rules=HtvaultRules(confirming, {ISSUER: frozenset({ROLE})}, ssh_registration=True),
        means=Means(world.audit, world.clock, world.entropy, replica.deeds),
    )


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
