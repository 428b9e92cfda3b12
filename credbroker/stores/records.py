"""Records in a KV version 2 mount: one per path segment, written by check-and-set only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import (
    Malformed,
    RecordDamaged,
    StoreMisconfigured,
    StoreUnavailable,
    StoreUnclear,
)
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.ports import HttpAnswer, Stored
from credbroker.stores.vault import VaultClient, age_seconds, json_of
from credbroker.wire.records import (
    Record,
    read_grant,
    read_lease,
    read_login,
    write_grant,
    write_lease,
    write_login,
)

T = TypeVar("T")


class VaultRecords(Generic[T]):
    """The records of one folder of the mount. Follows `ports.RecordStore`."""

    def __init__(
        self,
        client: VaultClient,
        place: str,
        write: Callable[[T], Record],
        read: Callable[[object], T],
    ) -> None:
        """Keep records below `place` (`<mount>/data/<folder>`), as `write` and `read` format them."""
        self._client = client
        self._place = place
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
    return VaultRecords(client, f"{mount}/data/grants", write_grant, read_grant)


def lease_records(client: VaultClient, mount: str) -> VaultRecords[Lease]:
    """Return the store of leases."""
    return VaultRecords(client, f"{mount}/data/leases", write_lease, read_lease)


def login_records(client: VaultClient, mount: str) -> VaultRecords[PendingLogin]:
    """Return the store of waiting logins."""
    return VaultRecords(client, f"{mount}/data/logins", write_login, read_login)


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
