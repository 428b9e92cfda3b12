"""Logs people in by a key of their ssh agent, on the grant that they brought by an earlier login.

A key opens grants of the one identity that registered it, at that issuer. Who and what for is taken
from the record of the key and from the grant, not from what the client says of itself. Nothing new
is asked of the issuer: without a grant that lives, the person has to log in there. A revocation of
what a person has takes the keys with it that were registered before.
"""

from __future__ import annotations

from credbroker.broker.leasing import Leasing, Origin
from credbroker.broker.logins.ssh_nonces import SshNonces
from credbroker.broker.running import Means
from credbroker.broker.trail import names
from credbroker.domain.errors import LeaseEnded, Malformed
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.ssh_keys import SshKeys, SshProof, place_of
from credbroker.ports import RecordStore, SshSignatures

_REMEDY = "Register the keys of your agent with: htgettoken --registerssh"


class SshLogins:
    """All logins by ssh key of this process."""

    def __init__(
        self,
        keys: RecordStore[SshKeys],
        grants: RecordStore[Grant],
        leasing: Leasing,
        nonces: SshNonces,
        means: Means,
        *,
        signatures: SshSignatures,
        login_seconds: float,
    ) -> None:
        """Log in by the `keys` that are registered; a lease lasts `login_seconds`."""
        self._keys = keys
        self._grants = grants
        self._leasing = leasing
        self._nonces = nonces
        self._audit = means.audit
        self._signatures = signatures
        self._login_seconds = login_seconds

    def nonce(self) -> str:
        """Return what the client is to sign, as UTF-8, for one login."""
        return self._nonces.give()

    async def log_in(self, proof: SshProof, origin: Origin) -> tuple[LeaseToken, Lease] | None:
        """Return a new lease, or None for a good key without a grant that lives.

        Raises `Malformed` if the key is not registered or did not sign a good nonce, and
        `StoreUnavailable` kinds.
        """
        self._nonces.check(proof.nonce)
        stored = await self._keys.get(place_of(proof.grant.issuer, proof.grant.credkey))
        if stored is None or proof.key not in stored.value.keys:
            raise await self._refused(proof, origin, "No such ssh key is registered there.")
        if not self._signatures.verify(proof.key, proof.signature, proof.nonce.encode()):
            raise await self._refused(proof, origin, "The ssh key did not sign this nonce.")
        grant = await self._living_grant(proof, stored.value)
        if grant is None or await self._is_revoked(grant, stored.value):
            await self._refused(proof, origin, "There is no login that the ssh key could go on.")
            return None
        await self._nonces.spend(proof.nonce)
        # Without a subject, which would let it reach the robots of this person as well.
        token, lease = await self._leasing.open(
            grant.key, grant.line, "", self._login_seconds, origin
        )
        await self._note("ssh_login", proof, origin, sub=grant.subject, lease=lease.id)
        return token, lease

    async def _living_grant(self, proof: SshProof, registered: SshKeys) -> Grant | None:
        """Return the grant if it lives and belongs to whoever registered the key."""
        stored = await self._grants.get(proof.grant.segment())
        if stored is None or stored.value.is_over:
            return None
        owner = (stored.value.issuer_url, stored.value.subject)
        return stored.value if owner == (registered.issuer_url, registered.subject) else None

    async def _is_revoked(self, grant: Grant, registered: SshKeys) -> bool:
        """Return whether a revocation took with it the login, or what was registered before."""
        try:
            await self._leasing.admit(grant.key, min(grant.created_at, registered.registered_at))
        except LeaseEnded:
            return True
        return False

    async def _refused(self, proof: SshProof, origin: Origin, why: str) -> Malformed:
        await self._note("ssh_login_refused", proof, origin, why=why)
        return Malformed(why, _REMEDY)

    async def _note(self, event: str, proof: SshProof, origin: Origin, **more: object) -> None:
        await self._audit.record(
            event,
            request_id=origin.request_id,
            address=origin.address,
            **names(proof.grant),
            fingerprint=proof.key.fingerprint(),
            **more,
        )
