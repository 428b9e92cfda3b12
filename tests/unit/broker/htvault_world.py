"""A replica's deeds that stand in for an HTVault, over the usual world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.broker.engine import Stores
from credbroker.broker.htvault import Htvault, HtvaultRules, Proofs, assemble
from credbroker.broker.logins.confirming import ConfirmingRules
from credbroker.broker.running import Means
from credbroker.issuers.ssh_signatures import AgentSignatures
from tests.unit.broker.confirming_world import PUBLIC, SEAL
from tests.unit.broker.world import DAY, ISSUER, ROLE, Replica, World

if TYPE_CHECKING:
    from collections.abc import Collection


def deeds_of(
    world: World, replica: Replica | None = None, by_device: Collection[str] = ()
) -> Htvault:
    """Return the deeds of a replica without Kerberos, and without an HTVault from before.

    People of the issuers `by_device` cannot be sent back to us.
    """
    replica = replica or world.replica()
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
        world.robots,
    )
    confirming = ConfirmingRules(PUBLIC, frozenset(by_device), 7 * DAY)
    return assemble(
        replica.engine,
        stores,
        {ISSUER: world.issuer},
        proofs=Proofs(SEAL, AgentSignatures()),
        rules=HtvaultRules(confirming, {ISSUER: frozenset({ROLE})}, ssh_registration=True),
        means=Means(world.audit, world.clock, world.entropy, replica.deeds),
    )
