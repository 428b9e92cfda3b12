"""Registers the ssh keys that may stand for a person, lists them and takes them away again.

Only a lease straight from a login at the issuer, and only while that is fresh, may register keys, and
only for the person who logged in: a lease that was copied or made from another one opens no such door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from credbroker.broker.leasing import Caller, about
from credbroker.broker.running import Means, served
from credbroker.broker.storing import put_surely
from credbroker.domain.errors import NotAllowed, NotFound
from credbroker.domain.leases import Lease, check_login
from credbroker.domain.ssh_keys import SshKey, SshKeys, choose, place_of
from credbroker.ports import Issuer, RecordStore, StaleVersionError

# Clients register within seconds of the login; such a lease may live for weeks, in nobody's hands.
FRESH_SECONDS = 600.0
_REMEDY = "Log in and register in one go, with: htgettoken --registerssh"


class SshRegistering:
    """All registrations of ssh keys of this process."""

    def __init__(
        self,
        keys: RecordStore[SshKeys],
        means: Means,
        *,
        issuers: Mapping[str, Issuer],
        allowed: bool,
    ) -> None:
        """Keep `keys`; where registration is not `allowed`, those there stay good."""
        self._keys = keys
        self._audit = means.audit
        self._clock = means.clock
        self._issuers = issuers
        self._allowed = allowed

    async def register(
        self, caller: Caller, credkey: str, lines: Sequence[str]
    ) -> tuple[SshKeys, list[str]]:
        """Put these keys in the place of all that were there; see `ssh_keys.choose` for the lines.

        Returns the record, and a sentence for each key left out. Raises `NotAllowed`, `Malformed`
        and `StoreUnavailable` kinds.
        """
        self._check_may_register(caller.lease, credkey)
        chosen, left_out = choose(lines)
        key = caller.lease.key
        record = SshKeys(
            issuer=key.issuer,
            credkey=key.credkey,
            issuer_url=served(self._issuers, key.issuer).url,
            subject=caller.lease.subject,
            keys=chosen,
            # A login that is judged by a later moment than its own, gives keys that are, too.
            registered_at=max(self._clock.now(), caller.lease.created_at),
        )
        await self._put(record.issuer, record.credkey, lambda _found: record)
        await self._note("ssh_keys_registered", caller, [one.fingerprint() for one in chosen])
        return record, left_out

    async def listed(self, caller: Caller, credkey: str) -> tuple[SshKey, ...]:
        """Return the keys that are registered. Raises `NotAllowed`, `StoreUnavailable` kinds."""
        _check_own(caller.lease, credkey)
        found = await self.registered(caller.lease.key.issuer, credkey)
        return found.keys if found is not None else ()

    async def registered(self, issuer: str, credkey: str) -> SshKeys | None:
        """Return the record of an identity's keys, if it has any. Raises `StoreUnavailable` kinds."""
        stored = await self._keys.get(place_of(issuer, credkey))
        return stored.value if stored is not None else None

    async def remove(self, caller: Caller, credkey: str, fingerprint: str) -> None:
        """Take one key away; leases that it has opened go on.

        Raises `NotAllowed`, `NotFound` and `StoreUnavailable` kinds.
        """
        _check_own(caller.lease, credkey)
        await self.take_away(caller.lease.key.issuer, credkey, fingerprint, about(caller))

    async def take_away(
        self, issuer: str, credkey: str, fingerprint: str, by: Mapping[str, object]
    ) -> None:
        """Take one key away on the word of its person; the trail has `by` of who that was.

        Raises `NotFound` and `StoreUnavailable` kinds.
        """

        def without(found: SshKeys | None) -> SshKeys:
            if found is None:
                raise NotFound("No ssh keys are registered for this identity.", _REMEDY)
            return found.without(fingerprint)

        await self._put(issuer, credkey, without)
        await self._audit.record("ssh_key_removed", **by, fingerprints=[fingerprint])

    async def _put(
        self, issuer: str, credkey: str, change: Callable[[SshKeys | None], SshKeys]
    ) -> None:
        segment = place_of(issuer, credkey)
        while True:
            stored = await self._keys.get(segment)
            found, version = (stored.value, stored.version) if stored is not None else (None, 0)
            new = change(found)
            try:
                await put_surely(self._keys, segment, new, version, is_ours=new.__eq__)
                return
            except StaleVersionError:
                continue  # somebody else wrote: look again

    def _check_may_register(self, lease: Lease, credkey: str) -> None:
        if not self._allowed:
            raise NotAllowed(
                "Ssh keys cannot be registered here.",
                "Ask the operator, whose setting ssh.registration decides it.",
            )
        _check_own(lease, credkey)
        age_seconds = (self._clock.now() - lease.created_at).total_seconds()
        if not lease.registers or lease.ancestors or age_seconds > FRESH_SECONDS:
            raise NotAllowed("Only a login just made at the issuer may register ssh keys.", _REMEDY)

    async def _note(self, event: str, caller: Caller, fingerprints: Sequence[str]) -> None:
        await self._audit.record(event, **about(caller), fingerprints=fingerprints)


def _check_own(lease: Lease, credkey: str) -> None:
    check_login(lease)
    if credkey != lease.key.credkey:
        raise NotAllowed("The ssh keys of another identity are not this lease's.", _REMEDY)
