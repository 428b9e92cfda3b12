"""Records in a KV version 2 mount: one per path segment, written by check-and-set only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.deliveries import Announced, Delivery, HostLease
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import (
    Malformed,
    RecordDamaged,
    StoreMisconfigured,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant
from credbroker.domain.hosts import Host, HostSession
from credbroker.domain.issued_refresh import IssuedRefresh
from credbroker.domain.leases import Lease
from credbroker.domain.marks import (
    Heartbeat,
    IssuerMark,
    PublishedKeys,
    RewindMark,
    SpoolKey,
)
from credbroker.domain.narrow import NarrowToken
from credbroker.domain.notices import Choice, ToldRecord
from credbroker.domain.revocations import Revocations
from credbroker.domain.robots import Robots
from credbroker.domain.secret import Secret
from credbroker.domain.signing_keys import SigningKeys
from credbroker.domain.ssh_keys import SeenNonce, SshKeys
from credbroker.ports import HttpAnswer, Stored
from credbroker.stores.vault import VaultClient
from credbroker.stores.vault_answers import age_seconds, json_of
from credbroker.wire.confirmed import (
    read_confirmed,
    read_login_key,
    write_confirmed,
    write_login_key,
)
from credbroker.wire.hosts import (
    read_host,
    read_host_lease,
    read_host_session,
    write_host,
    write_host_lease,
    write_host_session,
)
from credbroker.wire.issued import read_issued, write_issued
from credbroker.wire.marks import (
    read_heartbeat,
    read_issuer_mark,
    read_published,
    read_rewind,
    read_spool_key,
    write_heartbeat,
    write_issuer_mark,
    write_published,
    write_rewind,
    write_spool_key,
)
from credbroker.wire.narrow import read_narrow, write_narrow
from credbroker.wire.notices import read_choice, read_told, write_choice, write_told
from credbroker.wire.ordered import (
    read_announced,
    read_delivery,
    write_announced,
    write_delivery,
)
from credbroker.wire.records import (
    Record,
    read_grant,
    read_lease,
    read_login,
    write_grant,
    write_lease,
    write_login,
)
from credbroker.wire.revocations import read_revocations, write_revocations
from credbroker.wire.robots import read_robots, write_robots
from credbroker.wire.signing_keys import read_signing_keys, write_signing_keys
from credbroker.wire.ssh_keys import (
    read_seen_nonce,
    read_ssh_keys,
    write_seen_nonce,
    write_ssh_keys,
)

T = TypeVar("T")


class VaultRecords(Generic[T]):
    """The records of one folder of the mount. Follows `ports.RecordStore`."""

    def __init__(
        self,
        client: VaultClient,
        mount: str,
        folder: str,
        write: Callable[[T], Record],
        read: Callable[[object], T],
    ) -> None:
        """Keep records in `folder` of the mount, as `write` and `read` format them."""
        self._client = client
        self._place = f"{mount}/data/{folder}"
        self._names = f"{mount}/metadata/{folder}"
        self._write = write
        self._read = read

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the newest version; see `ports.RecordStore.get`."""
        answer = await self._client.get(f"{self._place}/{segment}")
        return None if answer is None else self._stored(answer)

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write by check-and-set; see `ports.RecordStore.put`."""
        body = {"options": {"cas": expected_version}, "data": self._write(value)}
        answer = await self._client.post(f"{self._place}/{segment}", body)
        try:
            return int(_field(json_of(answer).get("data"), "version"))
        except StoreUnavailable:
            raise StoreUnclear("OpenBao/Vault took a write and did not say which.") from None

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return the segments that have records; see `ports.RecordStore.segments`."""
        return await self._client.listed(self._names, after, limit)

    async def remove(self, segment: str) -> None:
        """Delete a record with its versions; see `broker.keeper.clearing.Clearable.remove`."""
        await self._client.delete(f"{self._names}/{segment}")

    def _stored(self, answer: HttpAnswer) -> Stored[T]:
        found = json_of(answer).get("data")
        metadata = _field(found, "metadata")
        try:
            value = self._read(_field(found, "data"))
        except Malformed:
            raise RecordDamaged(
                "A record in OpenBao/Vault is damaged or from a newer version."
            ) from None
        age = age_seconds(str(_field(metadata, "created_time")), answer)
        return Stored(value, int(_field(metadata, "version")), age)


def grant_records(client: VaultClient, mount: str) -> VaultRecords[Grant]:
    """Return the store of grants."""
    return VaultRecords(client, mount, "grants", write_grant, read_grant)


def lease_records(client: VaultClient, mount: str) -> VaultRecords[Lease]:
    """Return the store of leases."""
    return VaultRecords(client, mount, "leases", write_lease, read_lease)


def login_records(client: VaultClient, mount: str) -> VaultRecords[PendingLogin]:
    """Return the store of waiting logins."""
    return VaultRecords(client, mount, "logins", write_login, read_login)


def issuer_mark_records(client: VaultClient, mount: str) -> VaultRecords[IssuerMark]:
    """Return the store of what is known about issuers."""
    return VaultRecords(client, mount, "issuers", write_issuer_mark, read_issuer_mark)


def heartbeat_records(client: VaultClient, mount: str) -> VaultRecords[Heartbeat]:
    """Return the store of the replicas' signs of life."""
    return VaultRecords(client, mount, "replicas", write_heartbeat, read_heartbeat)


def revocation_records(client: VaultClient, mount: str) -> VaultRecords[Revocations]:
    """Return the store of revocations; one record for each kind."""
    return VaultRecords(client, mount, "revocations", write_revocations, read_revocations)


def rewind_records(client: VaultClient, mount: str) -> VaultRecords[RewindMark]:
    """Return the store of the counter that a restored snapshot is seen by; one record."""
    return VaultRecords(client, mount, "marks", write_rewind, read_rewind)


def published_key_records(client: VaultClient, mount: str) -> VaultRecords[PublishedKeys]:
    """Return the store of the public keys that issuers were heard with; one record for each."""
    return VaultRecords(client, mount, "marks", write_published, read_published)


def spool_key_records(client: VaultClient, mount: str) -> VaultRecords[SpoolKey]:
    """Return the store of the key pair that spools are sealed with; one record."""
    return VaultRecords(client, mount, "marks", write_spool_key, read_spool_key)


def narrow_records(client: VaultClient, mount: str) -> VaultRecords[NarrowToken]:
    """Return the store of tokens for narrow rights that replicas share."""
    return VaultRecords(client, mount, "narrow", write_narrow, read_narrow)


def confirmed_records(client: VaultClient, mount: str) -> VaultRecords[ConfirmedLogin]:
    """Return the store of logins that go through a browser."""
    return VaultRecords(client, mount, "logins", write_confirmed, read_confirmed)


def login_key_records(client: VaultClient, mount: str) -> VaultRecords[Secret]:
    """Return the store of the key that such logins are sealed with; one record."""
    return VaultRecords(client, mount, "marks", write_login_key, read_login_key)


def ssh_key_records(client: VaultClient, mount: str) -> VaultRecords[SshKeys]:
    """Return the store of ssh keys that people have registered."""
    return VaultRecords(client, mount, "ssh", write_ssh_keys, read_ssh_keys)


def seen_records(client: VaultClient, mount: str) -> VaultRecords[SeenNonce]:
    """Return the store of marks that something was used which is good for one use."""
    return VaultRecords(client, mount, "logins", write_seen_nonce, read_seen_nonce)


def robot_records(client: VaultClient, mount: str) -> VaultRecords[Robots]:
    """Return the store of what is remembered of people's robots."""
    return VaultRecords(client, mount, "people", write_robots, read_robots)


def host_records(client: VaultClient, mount: str) -> VaultRecords[Host]:
    """Return the store of hosts, their join tokens and keys."""
    return VaultRecords(client, mount, "hosts", write_host, read_host)


def host_session_records(client: VaultClient, mount: str) -> VaultRecords[HostSession]:
    """Return the store of hosts' sessions."""
    return VaultRecords(client, mount, "sessions", write_host_session, read_host_session)


def host_lease_records(client: VaultClient, mount: str) -> VaultRecords[HostLease]:
    """Return the store of which lease a host has for an order."""
    return VaultRecords(client, mount, "sessions", write_host_lease, read_host_lease)


def announced_records(client: VaultClient, mount: str) -> VaultRecords[Announced]:
    """Return the store of orders that wait for consent."""
    return VaultRecords(client, mount, "announced", write_announced, read_announced)


def delivery_records(client: VaultClient, mount: str) -> VaultRecords[Delivery]:
    """Return the store of standing orders."""
    return VaultRecords(client, mount, "deliveries", write_delivery, read_delivery)


def signing_key_records(client: VaultClient, mount: str) -> VaultRecords[SigningKeys]:
    """Return the store of the keys that communities' tokens are signed with; one record for each."""
    return VaultRecords(client, mount, "signing", write_signing_keys, read_signing_keys)


def issued_records(client: VaultClient, mount: str) -> VaultRecords[IssuedRefresh]:
    """Return the store of refresh tokens that services of our communities were given."""
    return VaultRecords(client, mount, "issued", write_issued, read_issued)


def told_records(client: VaultClient, mount: str) -> VaultRecords[ToldRecord]:
    """Return the store of what was told of grants and issuers."""
    return VaultRecords(client, mount, "notices", write_told, read_told)


def choice_records(client: VaultClient, mount: str) -> VaultRecords[Choice]:
    """Return the store of whom no mails are sent to."""
    return VaultRecords(client, mount, "notices", write_choice, read_choice)


async def check_mount(client: VaultClient, mount: str) -> None:
    """Raise `StoreMisconfigured` unless the mount keeps one version and insists on check-and-set.

    With KV's defaults ten old refresh tokens would stay readable, and a late write could bring
    back what a logout removed.
    """
    try:
        answer = await client.get(f"{mount}/config")
    except StoreMisconfigured:
        raise StoreMisconfigured(
            f"The mount {mount}/ is missing, or the broker's policy does not let it read"
            f" {mount}/config."
        ) from None
    found = json_of(answer).get("data") if answer is not None else None
    if not isinstance(found, dict):
        raise StoreMisconfigured(f"The mount {mount}/ is missing or is not KV version 2.")
    if found.get("cas_required") is not True or found.get("max_versions") != 1:
        raise StoreMisconfigured(
            f"The mount {mount}/ must have cas_required=true and max_versions=1.",
            f"Run: bao write {mount}/config cas_required=true max_versions=1",
        )


def _field(found: object, name: str) -> Any:
    if not isinstance(found, dict) or name not in found:
        raise StoreUnavailable("OpenBao/Vault gave an answer without the expected fields.")
    return found[name]
