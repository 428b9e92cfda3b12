"""Walks through records, and through all grants: by pages, a few at a time, past those that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from credbroker.domain.errors import RecordDamaged
from credbroker.domain.grants import Grant
from credbroker.ports import RecordStore, Stored

PAGE = 5000
READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Found:
    """A grant's place and what is in it; None if that cannot be read."""

    segment: str
    stored: Stored[Grant] | None


async def pages(records: RecordStore[Any], after: str = "") -> AsyncIterator[list[str]]:
    """Yield all segments that have records past `after`, in order, a page at a time."""
    while page := await records.segments(after, PAGE):
        yield page
        after = page[-1]


async def walk(grants: RecordStore[Grant]) -> AsyncIterator[Found]:
    """Yield every grant, in the order of segments, as it is when its turn comes.

    Raises `StoreUnavailable` kinds.
    """
    async for page in pages(grants):
        for start in range(0, len(page), READS_AT_ONCE):
            some = page[start : start + READS_AT_ONCE]
            for found in await asyncio.gather(*(_look(grants, segment) for segment in some)):
                if isinstance(found, Exception):
                    raise found
                if found is not None:
                    yield found


async def _look(grants: RecordStore[Grant], segment: str) -> Found | Exception | None:
    """Return what is there; an error is returned, so that all reads begun together end together."""
    try:
        stored = await grants.get(segment)
    except RecordDamaged:
        return Found(segment, None)
    except Exception as error:  # noqa: BLE001 - it is raised by whoever waits for all of these
        return error
    return None if stored is None else Found(segment, stored)
