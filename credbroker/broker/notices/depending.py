"""Finds what lives by a grant: jobs, programs and deliveries, with where they are.

The leases of a grant are found by what their ids begin with, as for its person's own page; so many
are looked at, and of more it is only said that there are more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from credbroker.broker.leasing import Leasing
from credbroker.broker.walking import READS_AT_ONCE
from credbroker.domain.deliveries import Delivery, job_of
from credbroker.domain.errors import LeaseEnded, RecordDamaged
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.notices import Dependents, Work

MOST_LEASES = 500

_A_DELIVERY = job_of("")
_A_PROGRAM = "a program"


class Depending:
    """Looks at leases and orders as they are stored now."""

    def __init__(
        self, leasing: Leasing, orders_with: Callable[[Lease], Awaitable[Sequence[Delivery]]]
    ) -> None:
        """Read leases of `leasing`; `orders_with` gives the standing orders on a lease's login."""
        self._leasing = leasing
        self._orders_with = orders_with

    async def on(self, grant: Grant) -> Dependents:
        """Return what lives by a grant. Raises `StoreUnavailable` kinds, and `ClockOff`."""
        ids = await self._leasing.ids_on(grant.line, MOST_LEASES + 1)
        logins = list(filter(None, [grant.login_id, *grant.earlier_logins]))
        found = await self._read([*ids[:MOST_LEASES], *logins])
        place = (grant.key, grant.line)
        living = self._living(one for one in found if (one.key, one.line) == place)
        orders = await self._orders(living)
        works = [_work(one, orders.get(one.id)) for one in living if _counts(one)]
        works.sort(key=lambda one: (not one.is_delivery, one.name))
        return Dependents(tuple(works), bool(living), more=len(ids) > MOST_LEASES)

    async def _read(self, ids: Sequence[str]) -> list[Lease]:
        found: list[Lease] = []
        for start in range(0, len(ids), READS_AT_ONCE):
            some = ids[start : start + READS_AT_ONCE]
            asked = (self._leasing.known(lease_id) for lease_id in some)
            for one in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(one, Lease):
                    found.append(one)
                elif isinstance(one, BaseException) and not isinstance(one, RecordDamaged):
                    raise one
        return found

    def _living(self, found: Iterable[Lease]) -> list[Lease]:
        """Return those that are alive, and so is what they were made from, as far as it was found."""
        by_id = {one.id: one for one in found}
        over = {lease_id for lease_id, one in by_id.items() if not self._is_alive(one)}
        return [one for one in by_id.values() if one.id not in over and not over & {*one.ancestors}]

    def _is_alive(self, lease: Lease) -> bool:
        try:
            self._leasing.check_alive(lease)
        except LeaseEnded:
            return False
        return True

    async def _orders(self, living: Sequence[Lease]) -> dict[str, Delivery]:
        """Return the orders that stand, by the lease that each lives by."""
        like_one = next((one for one in living if (one.job or "").startswith(_A_DELIVERY)), None)
        if like_one is None:
            return {}
        return {one.lease_id: one for one in await self._orders_with(like_one)}


def _counts(lease: Lease) -> bool:
    """A person's own login is no work, nor is what each host has of a delivery once more."""
    return not lease.host and (lease.job is not None or bool(lease.ancestors))


def _work(lease: Lease, order: Delivery | None) -> Work:
    if order is not None:
        return Work("delivery", str(order.ordered.target), lease.ends_at, is_delivery=True)
    return Work(lease.job or _A_PROGRAM, lease.origin or "unknown", lease.ends_at)
