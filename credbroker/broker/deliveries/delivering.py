"""Gives hosts what was ordered for them, and nothing else: leases, one for each order and host.

- A host sees, asks for and ends the orders for itself and for its groups. Any other is not there for it.
- A lease for an order is made from the one that the order lives by: exactly what was consented to. A
  host that asks anew has lost, or given up, the one it had: that is ended first.
- An order whose person has logged out is ended by whoever comes upon it.
"""

from __future__ import annotations

from credbroker.broker.deliveries.hosting import KnownHost
from credbroker.broker.deliveries.ordering import of_order
from credbroker.broker.deliveries.standing import Standing
from credbroker.broker.keeper.clearing import Clearable
from credbroker.broker.leasing import Caller, Leasing
from credbroker.broker.minting import Minting
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.trail import names
from credbroker.broker.turns import Turns
from credbroker.domain.attenuation import Right
from credbroker.domain.deliveries import Delivery, HostLease, host_lease_segment, job_of
from credbroker.domain.errors import (
    LeaseEnded,
    LoginNeeded,
    NotAllowed,
    NotFound,
)
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.domain.limits import Allowance
from credbroker.ports import StaleVersionError

# A host that starts again asks for all of its orders at once, but seldom for one of them.
PACE = Allowance(per_second=1 / 60, burst=5)
# A look is a listing at the store, and everybody on a host can have its agent look.
LOOKS = Allowance(per_second=1.0, burst=60)


class Delivering:
    """What hosts are given at this replica."""

    def __init__(
        self,
        held: Clearable[HostLease],
        standing: Standing,
        means: Means,
        *,
        leasing: Leasing,
        minting: Minting,
    ) -> None:
        """Give leases for what is `standing`; in `held` is which lease a host has for an order."""
        self._held = held
        self._standing = standing
        self._leasing = leasing
        self._minting = minting
        self._means = means
        self._audit = means.audit
        self._looks = Turns(means.clock, LOOKS, "This host asks for its orders too often.")
        self._turns = Turns(means.clock, PACE, "This host asks for this order's lease too often.")

    async def orders(self, host: KnownHost) -> list[Delivery]:
        """Return the orders that stand for a host and its groups.

        Raises `TooManyRequests`, and `StoreUnavailable` kinds.
        """
        await self._looks.wait(host.name)
        return [one for target in host.targets for one in await self._standing.of(target)]

    async def lease(self, host: KnownHost, delivery_id: str) -> tuple[LeaseToken, Lease]:
        """Make the host's lease for an order; the one that it had before is over.

        It lasts as long as a job's may, and no longer than the order. Raises `NotFound` for what is
        not ordered there, `LeaseEnded` or `LoginNeeded` if the order's login is over, and
        `StoreUnavailable` kinds.
        """
        delivery = await self._ordered_there(host, delivery_id)
        await self._turns.wait(f"{delivery.id} on {host.name}")
        caller = await self._standing.acting_for(delivery, host.origin)
        right = await self._right(delivery, caller)
        segment = host_lease_segment(delivery.id, host.name)
        while True:
            stored = await self._held.get(segment)
            if stored is not None:
                await self._end(stored.value, host)
            version = stored.version if stored is not None else 0
            token, lease = await self._leasing.make_child(
                caller, right, job=job_of(delivery.id, host.name), seconds=float("inf")
            )
            held = HostLease(delivery.id, host.name, lease.id, lease.ends_at)
            try:
                await put_surely(
                    self._held, segment, held, version,
                    is_ours=lambda found: found.lease_id == held.lease_id,  # noqa: B023 - used at once
                )  # fmt: skip
                break
            except StaleVersionError:
                await self._end(held, host)  # the same host asks twice at once: the last one counts
        await self._note("delivery_lease", host, delivery, child=lease.id, ends_at=lease.ends_at)
        return token, lease

    async def give_up(self, host: KnownHost, delivery_id: str) -> None:
        """End an order on the word of its host, where its person took it back.

        Raises `NotAllowed` for a group's: one host must not end what goes to others. Else as `lease`.
        """
        delivery = await self._ordered_there(host, delivery_id)
        if delivery.ordered.target.is_group:
            raise NotAllowed(
                "An order for a whole group is ended by its person.",
                "Log in, and end it with: credbroker deliver end ID",
            )
        await self._standing.end(delivery, host.origin)
        await self._note("delivery_ended", host, delivery)

    async def _ordered_there(self, host: KnownHost, delivery_id: str) -> Delivery:
        delivery = await self._standing.one(delivery_id)
        if delivery.ordered.target not in host.targets:
            raise NotFound(
                "There is no such order for this host.", "Look at the list of them again."
            )
        return delivery

    async def _right(self, delivery: Delivery, caller: Caller) -> Right:
        try:
            return await self._minting.right_of(caller, delivery.ordered.wanted())
        except (LeaseEnded, LoginNeeded):
            await self._standing.end(delivery, caller.origin)
            raise

    async def _end(self, held: HostLease, host: KnownHost) -> None:
        lease = await self._leasing.known(held.lease_id)
        if lease is not None and lease.ended_at is None:
            await self._leasing.end(Caller(lease, host.origin), delivery=held.delivery)

    async def _note(self, event: str, host: KnownHost, delivery: Delivery, **more: object) -> None:
        await self._audit.record(
            event,
            request_id=host.origin.request_id,
            address=host.origin.address,
            host=host.name,
            lease=host.session.id,
            **names(delivery.key),
            **of_order(delivery.id, delivery.ordered),
            **more,
        )
