"""Whole brokers over three OpenBao nodes, with grants and leases enough for a steady load.

The grants are put where brokers find them, without a login each: a lease that no broker has seen,
on a grant that nobody holds a token of.
"""

from __future__ import annotations

import asyncio
import datetime
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from credbroker.building import open_vault
from credbroker.config.load import load
from credbroker.demo.issuer import Person
from credbroker.demo.ports import free_port
from credbroker.domain.attenuation import Ceiling
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy
from credbroker.stores.records import grant_records, lease_records
from tests.chaos.cluster import Cluster
from tests.integration.broker_world import ROLE_SCOPES, BrokerWorld

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from credbroker.config.schema import Vault as VaultSettings
    from credbroker.demo.certificates import Authority
    from credbroker.demo.issuer import SigningKeys
    from tests.integration.broker_world import Served

PERSON = Person("alice", "alice's word")
_AT_ONCE = 16
_LOGIN_SECONDS = 20.0
# A replica that has just joined has a sixteenth of an issuer's limit for two minutes.
_PACE = {"refreshes_at_once": 16, "refreshes_per_second": 800}
_STRANGERS = {"per_address_per_second": 1000, "per_address_burst": 5000}


class ClusterWorld(BrokerWorld):
    """A world whose OpenBao is a cluster."""

    def __init__(
        self, folder: Path, authority: Authority, cluster: Cluster, issuer_name: str
    ) -> None:
        """Live in `folder`, around a cluster that runs."""
        self.cluster = cluster
        self.addresses = [node.address for node in cluster.nodes]
        super().__init__(folder, authority, cluster, issuer_name)  # type: ignore[arg-type]  # a cluster starts and stops as one server does
        self._stores = AsyncExitStack()

    async def open(self, keys: SigningKeys, **wanted: Any) -> None:
        """Start the issuer, and be ready to look at what is stored."""
        await super().open(keys, **wanted)
        settings = load(self.write_settings("looking")).vault
        vault = await open_vault(settings, self.clock, SystemEntropy(), self._stores)
        self.grants = grant_records(vault, settings.mount)
        self.leases = lease_records(vault, settings.mount)

    async def close(self) -> None:
        """End everything but the cluster."""
        await self._stores.aclose()
        await super().close()

    def vault_settings(self) -> dict[str, Any]:
        """Return the settings that lead to `addresses`."""
        return {
            "addresses": self.addresses,
            "mount": self.cluster.mount,
            "seconds": 2.0,
            "approle": {
                "role_id_file": str(self.cluster.role_id_file),
                "secret_id_file": str(self.cluster.secret_id_file),
            },
        }

    def write_settings(
        self,
        name: str,
        *,
        port: int = 0,
        issuer: Mapping[str, object] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Path:
        """Write a broker's settings, under which this load is no flood."""
        return super().write_settings(
            name, port=port, issuer={**_PACE, **(issuer or {})}, more=more
        )

    async def serve_at(self, name: str, addresses: Sequence[str]) -> Served:
        """Start a `credbroker serve` that knows these nodes, once they take a broker's login.

        A standby that has just started fails at that for a moment.
        """
        self.addresses = list(addresses)
        settings = load(self.write_settings(f"{name}-looks")).vault
        until = self.clock.elapsed() + _LOGIN_SECONDS
        while not await self._takes_logins(settings) and self.clock.elapsed() < until:
            await self.clock.sleep(0.2)
        return await self.serve(name, port=free_port(SystemEntropy()), limits=_STRANGERS)

    async def _takes_logins(self, settings: VaultSettings) -> bool:
        async with AsyncExitStack() as stack:
            try:
                await open_vault(settings, self.clock, SystemEntropy(), stack)
            except StoreUnavailable:
                return False
        return True

    async def give(self, names: Sequence[str]) -> list[str]:
        """Store a grant and a lease on it under each credkey; return the lease tokens."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> str:
            async with turns:
                return await self._give(name)

        return await asyncio.gather(*(one(name) for name in names))

    async def stored(self, names: Sequence[str]) -> list[Grant]:
        """Return the grants under these credkeys as they are stored."""
        segments = [self._key(name).segment() for name in names]
        found = await asyncio.gather(*(self.grants.get(segment) for segment in segments))
        return [one.value for one in found if one is not None]

    def _key(self, name: str) -> GrantKey:
        return GrantKey(self.issuer_name, name, "default")

    async def _give(self, name: str) -> str:
        now = self.clock.now().replace(microsecond=0)
        entropy = SystemEntropy()
        grant = Grant(
            key=self._key(name),
            line=entropy.token(16),
            issuer_url=self.issuer.url,
            subject=PERSON.subject,
            client_id="credbroker",
            scopes=ScopeSet.of(ROLE_SCOPES),
            refresh_token=Secret("refresh token", self.issuer.grant_for("alice", "credbroker")),
            generation=1,
            state=GrantState.READY,
            write_id=entropy.token(16),
            created_at=now,
            refreshed_at=now,
        )
        token = LeaseToken(entropy.token(16), Secret("lease", entropy.token(32)))
        ends_at = now + datetime.timedelta(days=1)
        lease = Lease(token.id, token.secret_hash(), grant.key, grant.line, Ceiling(), now, ends_at)
        await self.grants.put(grant.key.segment(), grant, 0)
        await self.leases.put(lease.id, lease, 0)
        return token.text().reveal()
