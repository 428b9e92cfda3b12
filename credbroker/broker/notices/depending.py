"""Says what lives by a grant: jobs, programs and deliveries, with where they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from credbroker.broker.leases_on import LeasesOn
from credbroker.broker.leasing import Leasing
from credbroker.domain.deliveries import Delivery, job_of
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.notices import Dependents, Work

_A_DELIVERY = job_of("")
_A_PROGRAM = "a program"


class Depending:
    """Looks at leases and orders as they are stored now."""

    def __init__(
        self, leasing: Leasing, orders_with: Callable[[Lease], Awaitable[Sequence[Delivery]]]
    ) -> None:
        """Read leases of `leasing`; `orders_with` gives the standing orders on a lease's login."""
        self._leases_on = LeasesOn(leasing, leasing.check_alive)
        self._orders_with = orders_with

    async def on(self, grant: Grant) -> Dependents:
        """Return what lives by a grant. Raises `StoreUnavailable` kinds, and `ClockOff`."""
        found = await self._leases_on.grant(grant)
        orders = await self._orders(found.leases)
        works = [_work(one, orders.get(one.id)) for one in found.leases if _counts(one)]
        works.sort(key=lambda one: (not one.is_delivery, one.name))
        return Dependents(tuple(works), bool(found.leases), found.more)

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
