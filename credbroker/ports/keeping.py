"""Where things are kept: records in Vault, and what lies on this host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from credbroker.domain.grants import Grant

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A record as the store has it; `age_seconds` since it was written, by the store's clock."""

    value: T
    version: int
    age_seconds: float


class StaleVersionError(Exception):
    """A write named a version that is no longer the newest; nothing was written."""


class RecordStore(Protocol[T]):
    """Records of one kind, each under one path segment, written by check-and-set only."""

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the record, or None if none was ever written.

        Reads what the active node has. Raises `StoreUnavailable`, `StoreMisconfigured`.
        """

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write if the newest version is `expected_version` (0 = none yet); return the new one.

        The record is durable when this returns. Raises `StaleVersionError`; `StoreUnclear` if the
        write may or may not have happened; `StoreUnavailable` if it certainly did not.
        """

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return the segments that have records, in order, from the first one past `after`.

        At most `limit`, or all where the store knows no pages; an empty list says that there are
        no more. Raises `StoreUnavailable`, `StoreMisconfigured`.
        """


class Spool(Protocol):
    """Where successors lie, sealed, that Vault could not take yet.

    Sealed to a public key whose private half is in Vault alone, so what lies here is of use to
    nobody without Vault. Room is set aside beforehand: a full disk does not matter.
    """

    async def keep(self, grant: Grant) -> str:
        """Seal a record; it is on disk when this returns its entry's name. Raises `SpoolFull`."""

    async def drop(self, entry: str) -> None:
        """Wipe an entry whose record, or a later one, is in Vault."""

    async def left(self) -> Mapping[str, Grant]:
        """Open what an earlier or another process of this host left behind, by entry name.

        Asks Vault for the private key only if there is anything. Entries that a living process
        still works on are not in it. Raises `StoreUnavailable` kinds.
        """


class HostMarks(Protocol):
    """What this host remembers, on disk, of how far Vault had come; see `broker.custody.rewinding`."""

    @property
    def counter(self) -> int:
        """The highest counter ever seen in Vault; 0 if none was."""

    def generation(self, segment: str) -> int:
        """Return the highest generation ever seen of the grant in `segment`; 0 if none was."""

    def generations(self) -> Mapping[str, int]:
        """Return every generation remembered, by segment."""

    async def remember(self, counter: int, generations: Mapping[str, int]) -> None:
        """Raise what is remembered, never lower it; on disk when this returns."""
