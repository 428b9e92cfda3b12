"""Remembers which robots a person has brought grants for, in one record each for those who have any."""

from __future__ import annotations

from credbroker.broker.storing import put_surely
from credbroker.domain.names import GrantKey
from credbroker.domain.robots import Robots
from credbroker.ports import RecordStore, StaleVersionError


class Remembering:
    """What is remembered of all people's robots."""

    def __init__(self, records: RecordStore[Robots]) -> None:
        """Keep it in `records`."""
        self._records = records

    async def robot(self, owner: str, key: GrantKey) -> None:
        """Remember that the person of the credkey `owner` brings a grant for `key`.

        Raises `StoreUnavailable` kinds.
        """
        segment = _segment(key.issuer, owner)
        while True:
            stored = await self._records.get(segment)
            found, version = (stored.value, stored.version) if stored else (None, 0)
            new = (found or Robots(key.issuer, owner)).added(key.credkey, key.role)
            if new == found:
                return
            try:
                await put_surely(self._records, segment, new, version, is_ours=new.__eq__)
                return
            except StaleVersionError:
                continue  # somebody else wrote: look again

    async def robots_of(self, issuer: str, owner: str) -> list[GrantKey]:
        """Return where the grants of a person's robots are, or were. Raises `StoreUnavailable` kinds."""
        stored = await self._records.get(_segment(issuer, owner))
        return stored.value.keys() if stored is not None else []


def _segment(issuer: str, owner: str) -> str:
    """Return the path segment of a person's record: that of a grant in no role."""
    return GrantKey(issuer, owner, "").segment()
