"""Deletes what is long over: leases a week after they would have run out, logins an hour after.

- Grants are never deleted: the versions of a record would begin at 1 again.
- How old a record is, the store's own clock says as well; no replica's clock alone deletes anything.
  A lease is over by the store's clock alone: it may live for weeks without being written.
- Each replica clears its own shards, a few records a second. What cannot be read stays.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.running import Means
from credbroker.broker.walking import pages
from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import CredbrokerError, RecordDamaged
from credbroker.domain.leases import Lease
from credbroker.domain.shards import shard_of, shards_of
from credbroker.domain.ssh_keys import SeenNonce
from credbroker.ports import Clock, RecordStore, Stored

T = TypeVar("T")

LEASE_KEPT_SECONDS = 7 * 86400.0
LOGIN_KEPT_SECONDS = 3600.0
# An issuer that was away for so long is asked no more to revoke what nobody came for.
WAITING_KEPT_SECONDS = 8 * 86400.0
PAUSE_SECONDS = 0.2
ROUND_SECONDS = 3600.0

log = structlog.get_logger(__name__)


class Clearable(RecordStore[T], Protocol[T]):
    """Records that may be deleted; see `ports.RecordStore`."""

    async def remove(self, segment: str) -> None:
        """Delete a record with its versions; none there is as good.

        Raises `StoreUnavailable`, `StoreMisconfigured`.
        """


@dataclass(frozen=True, slots=True)
class Cleared:
    """What is cleared: leases, and the three kinds of records that share the folder of logins."""

    leases: Clearable[Lease]
    logins: Clearable[PendingLogin]
    confirmed: Clearable[ConfirmedLogin]
    seen: Clearable[SeenNonce]


class Clearing:
    """The clearing away that this process does."""

    def __init__(self, cleared: Cleared, replicas: Replicas, means: Means) -> None:
        """Clear what of `cleared` is over; each of the `replicas` its own shards."""
        self._cleared = cleared
        self._replicas = replicas
        self._clock = means.clock

    async def run(self) -> None:
        """Go round for ever, the first time after an hour."""
        await every_round(self.once, self._clock, "records_not_cleared")

    async def once(self) -> None:
        """Go round once. Raises `StoreUnavailable` kinds."""
        for folder, is_over in (
            (self._cleared.leases, self._is_lease_over),
            (self._cleared.logins, self._is_login_over),
        ):
            await go_round(folder, is_over, self._replicas, self._clock)

    async def _is_lease_over(self, segment: str) -> bool:
        """A lease that was ended early stays for its whole time: who is below it is told so."""
        lease = await found_in(self._cleared.leases, segment)
        if lease is None:
            return False
        life_seconds = (lease.value.ends_at - lease.value.created_at).total_seconds()
        return lease.age_seconds > life_seconds + LEASE_KEPT_SECONDS

    async def _is_login_over(self, segment: str) -> bool:
        """Tell by whichever of the three kinds it is; to the readers of the others it is damaged."""
        kept = LOGIN_KEPT_SECONDS
        if (login := await found_in(self._cleared.logins, segment)) is not None:
            return self._is_past(login, login.value.expires_at, kept)
        if (seen := await found_in(self._cleared.seen, segment)) is not None:
            return self._is_past(seen, seen.value.seen_at, kept)
        if (confirmed := await found_in(self._cleared.confirmed, segment)) is not None:
            waits = confirmed.value.pending is not None  # `broker.logins.placing` revokes it first
            kept = WAITING_KEPT_SECONDS if waits else kept
            return self._is_past(confirmed, confirmed.value.expires_at, kept)
        return False

    def _is_past(
        self, stored: Stored[Any], ended_at: datetime.datetime, kept_seconds: float
    ) -> bool:
        """True if it ended, and was written last, longer ago than that."""
        return is_past(stored, ended_at, kept_seconds, self._clock.now())


async def every_round(once: Callable[[], Awaitable[None]], clock: Clock, event: str) -> None:
    """Go round for ever, the first time after an hour; what goes wrong is logged as `event`."""
    while True:
        await clock.sleep(ROUND_SECONDS)
        try:
            await once()
        except CredbrokerError as error:
            log.warning(event, why=error.sentence)


async def go_round(
    folder: Clearable[Any],
    is_over: Callable[[str], Awaitable[bool]],
    replicas: Replicas,
    clock: Clock,
) -> None:
    """Remove what `is_over` in this replica's shards of a folder. Raises `StoreUnavailable` kinds."""
    shards = shards_of(replicas.name, replicas.live())
    gone = 0
    async for page in pages(folder):
        for segment in (one for one in page if shard_of(one) in shards):
            if await is_over(segment):
                await folder.remove(segment)
                gone += 1
            await clock.sleep(PAUSE_SECONDS)
    if gone:
        log.info("records_cleared", records=gone)


def is_past(
    stored: Stored[Any],
    ended_at: datetime.datetime,
    kept_seconds: float,
    now: datetime.datetime,
) -> bool:
    """True if it ended, and was written last, longer ago than `kept_seconds`."""
    return min(stored.age_seconds, (now - ended_at).total_seconds()) > kept_seconds


async def found_in(records: RecordStore[T], segment: str) -> Stored[T] | None:
    """Return the record; None if there is none of this kind."""
    try:
        return await records.get(segment)
    except RecordDamaged:
        return None
