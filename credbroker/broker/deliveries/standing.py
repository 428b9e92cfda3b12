"""Keeps the orders that stand, and finds them: a host's, and a person's.

- An order is looked for by what its segment begins with: one listing for each host or group, and none
  of it twice. Its record does not change, so each is read once and then remembered.
- An order stands while the lease that it lives by does: whoever ends that lease, the login that it
  was made from, or the person's grant, has ended the order at every replica.
"""

from __future__ import annotations

import asyncio
import contextlib

from credbroker.broker.keeper.clearing import Clearable
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.broker.recall import ANSWER_SECONDS, Recall
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.walking import READS_AT_ONCE
from credbroker.domain.deliveries import Delivery, Target, person_tag
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, NotFound, RecordDamaged
from credbroker.domain.leases import Lease
from credbroker.ports import StaleVersionError

MOST_LISTED = 50_000
"""So many orders of one host, group or login are looked at."""
PAGE = 500
"""So many are listed at once: few have more, and what follows belongs to others."""

_GONE = NotFound("There is no such order.", "It may have ended; list them: credbroker deliver list")


class Standing:
    """All standing orders, as this process knows them."""

    def __init__(self, records: Clearable[Delivery], leasing: Leasing, means: Means) -> None:
        """Keep orders in `records`; `leasing` knows the leases that they live by."""
        self._records = records
        self._recall = Recall(records, means.clock, fresh_seconds=float("inf"))
        self._leasing = leasing
        self._in_turn = asyncio.Semaphore(READS_AT_ONCE)

    async def keep(self, delivery: Delivery) -> Delivery:
        """Store an order, or return the one that is there by the same id.

        Its person sees it before any host does. Raises `StoreUnavailable` kinds.
        """
        kept = await self._put(delivery.person_segment(), delivery)
        return await self._put(kept.id, kept)

    async def of(self, target: Target) -> list[Delivery]:
        """Return the orders that stand for one host or group, in the order of their ids."""
        found = await self._listed(target.tag())
        return [one for one in found if one.ordered.target == target]

    async def with_login(self, lease: Lease) -> list[Delivery]:
        """Return the orders that stand on the login of this lease, in the order of their ids."""
        found = await self._listed(person_tag(lease.line))
        return [one for one in found if one.is_with(lease)]

    async def one(self, delivery_id: str) -> Delivery:
        """Return an order by its id, whether it still stands or not. Raises `NotFound`."""
        stored = await self._records.get(delivery_id)
        if stored is None or stored.value.id != delivery_id:
            raise _GONE
        return stored.value

    async def acting_for(self, delivery: Delivery, origin: Origin) -> Caller:
        """Return a caller with the lease that an order lives by, alive by the store's word.

        Raises `LeaseEnded` or `LeaseUnknown` if the order is over, and `StoreUnavailable` kinds.
        """
        lease = await self._leasing.known(delivery.lease_id)
        if lease is None:
            raise LeaseUnknown("The lease that this order lived by is gone.")
        caller = Caller(lease, origin)
        await self._leasing.confirm(caller)
        return caller

    async def end(self, delivery: Delivery, origin: Origin) -> None:
        """End an order, and all that was given for it.

        It is over from the end of its lease on, which comes first. Raises what the store raises.
        """
        with contextlib.suppress(LeaseEnded, LeaseUnknown):  # it may be over already
            caller = await self.acting_for(delivery, origin)
            await self._leasing.end(caller, delivery=delivery.id)
        for segment in (delivery.id, delivery.person_segment()):
            await self._records.remove(segment)

    async def forget(self, delivery: Delivery) -> None:
        """Take away what its person would see of an order that did not come to stand."""
        await self._records.remove(delivery.person_segment())

    async def _put(self, segment: str, delivery: Delivery) -> Delivery:
        try:
            await put_surely(
                self._records,
                segment,
                delivery,
                0,
                is_ours=lambda found: found.lease_id == delivery.lease_id,
            )
        except StaleVersionError:
            stored = await self._records.get(segment)
            if stored is None:
                raise _GONE from None  # ended this very moment
            return stored.value
        self._recall.learn(segment, delivery)
        return delivery

    async def _listed(self, tag: str) -> list[Delivery]:
        own = await self._segments(tag)
        found = await asyncio.gather(*map(self._read, own), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, RecordDamaged):
                raise one
        return [one for one in found if isinstance(one, Delivery)]

    async def _segments(self, tag: str) -> list[str]:
        own: list[str] = []
        after = tag
        while len(own) < MOST_LISTED and (page := await self._records.segments(after, PAGE)):
            own += [segment for segment in page if segment.startswith(tag)]
            after = page[-1]
            if not after.startswith(tag):
                break
        return own[:MOST_LISTED]

    async def _read(self, segment: str) -> Delivery | None:
        """Return an order that stands, None for one that is over."""
        async with self._in_turn:
            found = (await self._recall.get(segment, ANSWER_SECONDS)).value
            if found is None or not await self._leasing.is_alive(found.lease_id):
                return None
            return found
