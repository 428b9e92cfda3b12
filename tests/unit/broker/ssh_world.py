"""A world in which people log in by keys of their agents: what that needs beside the usual."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from credbroker.broker.leasing import Caller
from credbroker.broker.logins.ssh_logins import SshLogins
from credbroker.broker.logins.ssh_nonces import SshNonces
from credbroker.broker.logins.ssh_registering import SshRegistering
from credbroker.broker.running import Means
from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SeenNonce, SshKey, SshKeys, SshProof
from credbroker.issuers.ssh_signatures import AgentSignatures
from credbroker.stores.login_seal import AesLoginSeal
from tests.fakes.store import MemoryRecords
from tests.unit.broker.world import DAY, ISSUER, KEY, ORIGIN, ROLE, Replica, World

if TYPE_CHECKING:
    from credbroker.domain.leases import Lease, LeaseToken
    from tests.fakes.ssh_agent import AgentKey


class SshWorld(World):
    """The usual world, and what its replicas know of ssh keys."""

    def __init__(self) -> None:
        """Begin with nothing registered."""
        super().__init__()
        self.keys = MemoryRecords[SshKeys](self.clock)
        self.seen = MemoryRecords[SeenNonce](self.clock)
        self.seal = AesLoginSeal(Secret("login key", "k" * 43))

    def means(self, replica: Replica) -> Means:
        """Return what a replica's deeds need."""
        return Means(self.audit, self.clock, self.entropy, replica.deeds)

    def nonces(self, replica: Replica) -> SshNonces:
        """Return a replica's nonces."""
        return SshNonces(self.seen, self.seal, self.means(replica))

    def ssh_logins(self, replica: Replica) -> SshLogins:
        """Return a replica's logins by ssh key, for a week each."""
        return SshLogins(
            self.keys,
            self.grants,
            replica.leasing,
            self.nonces(replica),
            self.means(replica),
            signatures=AgentSignatures(),
            login_seconds=7 * DAY,
        )

    def registering(self, replica: Replica, *, allowed: bool = True) -> SshRegistering:
        """Return a replica's registrations."""
        return SshRegistering(
            self.keys, self.means(replica), issuers={ISSUER: self.issuer}, allowed=allowed
        )

    async def fresh_login(
        self, replica: Replica, key: GrantKey = KEY, **changes: object
    ) -> tuple[LeaseToken, Caller]:
        """Store the lease of somebody who has just logged in at the issuer."""
        token, caller = await self.give_lease(replica, key)
        given = {"subject": "sub-ada", "registers": True, **changes}
        return token, Caller(_changed(caller.lease, given), ORIGIN)

    async def register(self, replica: Replica, *agent: AgentKey) -> SshKeys:
        """Register an agent's keys for ada."""
        _, caller = await self.fresh_login(replica)
        lines = [key.line for key in agent]
        record, _ = await self.registering(replica).register(caller, KEY.credkey, lines)
        return record


def _changed(lease: Lease, changes: dict[str, object]) -> Lease:
    return replace(lease, **changes)  # type: ignore[arg-type]  # the test knows the fields


def proof_by(
    agent: AgentKey, nonce: str, *, credkey: str = "ada", issuer: str = ISSUER, role: str = ROLE
) -> SshProof:
    """Return what a client sends that has had its agent sign a nonce."""
    signature = agent.sign(nonce.encode())
    return SshProof(GrantKey(issuer, credkey, role), SshKey.parse(agent.line), nonce, signature)
