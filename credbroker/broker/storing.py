"""Writing a record so that afterwards it is known whether it was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from credbroker.domain.errors import StoreUnavailable, StoreUnclear
from credbroker.ports import RecordStore, StaleVersionError

T = TypeVar("T")


async def put_surely(
    records: RecordStore[T],
    segment: str,
    value: T,
    expected_version: int,
    *,
    is_ours: Callable[[T], bool],
) -> int:
    """Write by check-and-set; after an unclear answer or a mismatch, read to find out.

    `is_ours` tells this very write from anybody else's. Returns the record's version once it is
    ours. Raises `StaleVersionError` if somebody else wrote, `StoreUnavailable` if nobody did, and
    `StoreUnclear` if even the reading failed.
    """
    try:
        return await records.put(segment, value, expected_version)
    except StoreUnclear as unclear:
        try:
            found = await records.get(segment)
        except StoreUnavailable:
            raise unclear from None
    except StaleVersionError:
        # An earlier try of the same write may have been taken after its answer got lost.
        found = await records.get(segment)
    if found is not None and is_ours(found.value):
        return found.version
    if (found.version if found is not None else 0) == expected_version:
        raise StoreUnavailable("OpenBao/Vault did not take a write.")
    raise StaleVersionError
