"""Asking the store within a time, and writing so that afterwards it is known whether it was written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from credbroker.broker.running import Deeds
from credbroker.domain.errors import StoreUnavailable, StoreUnclear
from credbroker.ports import RecordStore, StaleVersionError

T = TypeVar("T")

TRIES = 3


async def answered(deeds: Deeds, asking: asyncio.Task[T], seconds: float) -> T:
    """Return what the store answers within `seconds`; the asking, one of `deeds`, goes on after that.

    Raises what the asking raises, and `StoreUnavailable` if nothing came in time.
    """
    if not await deeds.is_done(asking, seconds):
        raise StoreUnavailable("OpenBao/Vault did not answer in time.")
    return asking.result()


async def put_surely(
    records: RecordStore[T],
    segment: str,
    value: T,
    expected_version: int,
    *,
    is_ours: Callable[[T], bool],
) -> int:
    """Write by check-and-set; after an unclear answer or a mismatch, read to find out.

    `is_ours` tells this very write from anybody else's. A write whose answer got lost may still
    land, so "not there" is no proof: the same write is made again at the same version, of which
    only one can win. Returns the record's version once it is ours. Raises `StaleVersionError` if
    somebody else wrote, `StoreUnavailable` if nobody did, and `StoreUnclear` if that stays open.
    """
    unclear: StoreUnclear | None = None
    for _ in range(TRIES):
        try:
            return await records.put(segment, value, expected_version)
        except StoreUnclear as error:
            unclear = error
        except StaleVersionError:
            pass  # an earlier try of the same write may have won
        except StoreUnavailable:
            if unclear is None:
                raise
            break
        try:
            found = await records.get(segment)
        except StoreUnavailable:
            if unclear is None:
                raise
            break
        if found is not None and is_ours(found.value):
            return found.version
        if (found.version if found is not None else 0) != expected_version:
            raise StaleVersionError
    raise unclear or StoreUnavailable("OpenBao/Vault did not take a write.")
