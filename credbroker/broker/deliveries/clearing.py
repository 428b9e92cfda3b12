"""Deletes what is over of deliveries: orders nobody consented to, orders and sessions that have ended.

The rules of `broker.keeper.clearing` hold: each replica clears its own shards, a few a second, and no
replica's clock alone deletes anything.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.keeper.clearing import (
    Clearable,
    every_round,
    found_in,
    go_round,
    is_past,
)
from credbroker.broker.running import Means
from credbroker.domain.deliveries import Announced, Delivery, HostLease
from credbroker.domain.hosts import Host, HostSession
from credbroker.ports import RecordStore, Stored

KEPT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class DeliveryStores:
    """All that is kept of deliveries; `sessions` and `held` share a folder."""

    hosts: RecordStore[Host]
    sessions: Clearable[HostSession]
    held: Clearable[HostLease]
    waiting: Clearable[Announced]
    standing: Clearable[Delivery]


class DeliveryClearing:
    """The clearing away of such records that this process does."""

    def __init__(self, stores: DeliveryStores, replicas: Replicas, means: Means) -> None:
        """Clear what is over of `stores`; each of the `replicas` its own shards."""
        self._stores = stores
        self._replicas = replicas
        self._clock = means.clock

    async def run(self) -> None:
        """Go round for ever, the first time after an hour."""
        await every_round(self.once, self._clock, "deliveries_not_cleared")

    async def once(self) -> None:
        """Go round once. Raises `StoreUnavailable` kinds."""
        stores = self._stores
        for folder, is_over in (
            (stores.waiting, self._is_waiting_over),
            (stores.standing, self._is_standing_over),
            (stores.sessions, self._is_session_over),
        ):
            await go_round(folder, is_over, self._replicas, self._clock)

    async def _is_waiting_over(self, segment: str) -> bool:
        stored = await found_in(self._stores.waiting, segment)
        return stored is not None and self._is_past(stored, stored.value.expires_at)

    async def _is_standing_over(self, segment: str) -> bool:
        stored = await found_in(self._stores.standing, segment)
        return stored is not None and self._is_past(stored, stored.value.ends_at)

    async def _is_session_over(self, segment: str) -> bool:
        """Tell by whichever of the two kinds it is; to the reader of the other it is damaged."""
        session = await found_in(self._stores.sessions, segment)
        if session is not None:
            return self._is_past(session, session.value.ends_at)
        held = await found_in(self._stores.held, segment)
        return held is not None and self._is_past(held, held.value.ends_at)

    def _is_past(self, stored: Stored[Any], ends_at: datetime.datetime) -> bool:
        return is_past(stored, ends_at, KEPT_SECONDS, self._clock.now())
