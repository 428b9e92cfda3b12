"""Counts the leases that a revocation ends, so that whoever makes one sees what it means.

It reads every lease there is, a few at a time, and for no longer than it is given: what it has not
reached by then is said to be uncounted, never to be spared.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, replace

from credbroker.broker.walking import READS_AT_ONCE, pages
from credbroker.domain.errors import CredbrokerError, LeaseEnded, RecordDamaged
from credbroker.domain.leases import Lease, check_alive
from credbroker.domain.revocations import (
    LONGEST_SECONDS,
    OF_LEASES,
    Kind,
    Mark,
    View,
    check_not_revoked,
)
from credbroker.ports import Clock, RecordStore

MOST_PEOPLE = 20


@dataclass(frozen=True, slots=True)
class Hits:
    """How many living leases are hit, `jobs` of them for jobs, and some of whose they are.

    `complete` says that all leases were looked at.
    """

    leases: int = 0
    jobs: int = 0
    people: tuple[str, ...] = ()
    complete: bool = True


async def count_hits(
    leases: RecordStore[Lease],
    kind: Kind,
    name: str,
    before: datetime.datetime,
    clock: Clock,
    *,
    seconds: float,
) -> Hits:
    """Return what a mark of this moment ends, having looked for about `seconds`.

    `name` is as `domain.revocations.check_name` returns it. A store that fails ends the counting.
    A mark on what we sign ends no lease.
    """
    if kind not in OF_LEASES:
        return Hits()
    until, now = clock.elapsed() + seconds, clock.now()
    kept = before + datetime.timedelta(seconds=LONGEST_SECONDS)
    view: View = {kind: {name: Mark(before, kept)}}
    hits = Hits()
    try:
        async for page in pages(leases):
            for start in range(0, len(page), READS_AT_ONCE):
                if clock.elapsed() >= until:
                    return replace(hits, complete=False)
                some = page[start : start + READS_AT_ONCE]
                for lease in await asyncio.gather(*(_read(leases, segment) for segment in some)):
                    if lease is not None and _is_hit(lease, view, now):
                        hits = _with(hits, lease)
    except CredbrokerError:
        return replace(hits, complete=False)
    return hits


async def _read(leases: RecordStore[Lease], segment: str) -> Lease | None:
    try:
        stored = await leases.get(segment)
    except RecordDamaged:
        return None  # it opens nothing
    return stored.value if stored is not None else None


def _is_hit(lease: Lease, view: View, now: datetime.datetime) -> bool:
    try:
        check_alive(lease, now)
    except LeaseEnded:
        return False
    try:
        check_not_revoked(lease, view)
    except LeaseEnded:
        return True
    return False


def _with(hits: Hits, lease: Lease) -> Hits:
    people, person = hits.people, f"{lease.key.issuer}/{lease.key.credkey}"
    if person not in people and len(people) < MOST_PEOPLE:
        people = (*people, person)
    return Hits(hits.leases + 1, hits.jobs + (not lease.is_login), people)
