"""Takes orders: a host announces one, a person consents to it, and may take it back.

- What is announced costs little, waits ten minutes and then is nothing; a host, and each uid on it,
  may announce only so often.
- The first consent counts. The lease that the order lives by is made first, then the order is stored
  where its person finds it, then where hosts do: nothing stands that its person does not see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import structlog

from credbroker.broker.deliveries.hosting import KnownHost
from credbroker.broker.deliveries.standing import Standing
from credbroker.broker.keeper.clearing import Clearable
from credbroker.broker.leasing import Caller, Leasing, about
from credbroker.broker.minting import Minting
from credbroker.broker.running import Means
from credbroker.broker.storing import put_surely
from credbroker.broker.turns import Turns
from credbroker.domain.deliveries import (
    CHANCE_BYTES,
    MOST_OF_A_LOGIN,
    Announced,
    Delivery,
    Ordered,
    Shown,
    announced,
    check_consent,
    check_may_consent,
    check_ordered,
    consented,
    job_of,
)
from credbroker.domain.errors import CredbrokerError, NotAllowed, NotFound
from credbroker.domain.leases import check_login
from credbroker.domain.limits import Allowance
from credbroker.domain.secret import Secret

HOST_PACE = Allowance(per_second=0.1, burst=30)
UID_PACE = Allowance(per_second=1 / 60, burst=5)
_TOO_OFTEN = "Orders are announced too often from there."

log = structlog.get_logger(__name__)


class Ordering:
    """The taking of orders at this replica."""

    def __init__(
        self,
        waiting: Clearable[Announced],
        standing: Standing,
        means: Means,
        *,
        leasing: Leasing,
        minting: Minting,
        roles: Mapping[str, Collection[str]],
    ) -> None:
        """Keep what waits for consent in `waiting`, for the `roles` that are served by issuer."""
        self._waiting = waiting
        self._standing = standing
        self._leasing = leasing
        self._minting = minting
        self._roles = roles
        self._means = means
        self._audit = means.audit
        self._of_hosts = Turns(means.clock, HOST_PACE, _TOO_OFTEN)
        self._of_uids = Turns(means.clock, UID_PACE, _TOO_OFTEN)

    async def announce(self, host: KnownHost, ordered: Ordered) -> tuple[Announced, Secret]:
        """Store an order that waits for consent; return it with the code for its person.

        Raises `Malformed`, `NotAllowed` for a group that is not the host's, `NotFound` for an issuer
        or role that is not served, `TooManyRequests`, and `StoreUnavailable` kinds.
        """
        check_ordered(ordered)
        if ordered.target not in host.targets:
            raise NotAllowed("This host is not of that group.", "The setting hosts.groups says.")
        if ordered.role not in self._roles.get(ordered.issuer, ()):
            raise NotFound(f"No role {ordered.role!r} of {ordered.issuer!r} is served here.")
        await self._of_uids.wait(f"{ordered.uid} on {host.name}")
        await self._of_hosts.wait(host.name)
        entropy, now = self._means.entropy, self._means.clock.now()
        code = Secret("consent code", entropy.token(32)).extended("consent code", "cc_")
        self._means.check_clock()
        waits = announced(ordered, host.name, entropy.token(CHANCE_BYTES), code.digest(), now)
        await put_surely(
            self._waiting, waits.id, waits, 0, is_ours=lambda one: one.code_hash == waits.code_hash
        )
        await self._audit.record(
            "delivery_announced",
            request_id=host.origin.request_id,
            address=host.origin.address,
            host=host.name,
            lease=host.session.id,
            issuer=ordered.issuer,
            role=ordered.role,
            **of_order(waits.id, ordered),
        )
        return waits, code

    async def consent(self, caller: Caller, delivery_id: str, shown: Shown) -> Delivery:
        """Return the order that stands by the caller's login from now on; the same again changes nothing.

        Raises `NotAllowed` for a job's lease or another login, `NotFound`, `OutsideCeiling` where
        the login gives less than was ordered, and `StoreUnavailable` kinds.
        """
        check_may_consent(caller.lease)
        if (before := await self._consented_before(caller, delivery_id, shown)) is not None:
            return before
        stored = await self._waiting.get(delivery_id)
        found = stored.value if stored is not None else None
        found = check_consent(found, shown, caller.lease.key, self._means.clock.now())
        right = await self._minting.right_of(caller, found.ordered.wanted())
        await self._check_room(caller)
        lease = await self._leasing.make_standing(caller, right, job=job_of(found.id))
        mine = consented(found, lease)
        kept = await self._standing.keep(mine)
        if kept.lease_id != mine.lease_id:
            await self._leasing.end(Caller(lease, caller.origin), delivery=found.id)
        if not kept.is_with(caller.lease):
            await self._standing.forget(mine)
            raise _taken()
        await self._note_consent(caller, kept)
        await self._stop_waiting(found)
        return kept

    async def mine(self, caller: Caller) -> list[Delivery]:
        """Return the orders that stand on the caller's login. Raises `NotAllowed` for a job's lease."""
        check_login(caller.lease)
        return await self._standing.with_login(caller.lease)

    async def take_back(self, caller: Caller, delivery_id: str) -> None:
        """End an order of the caller's login. Raises `NotFound` for anybody else's."""
        check_login(caller.lease)
        delivery = await self._standing.one(delivery_id)
        if not delivery.is_with(caller.lease):
            raise NotFound("There is no such order of yours.", "See: credbroker deliver list")
        await self._standing.end(delivery, caller.origin)
        await self._audit.record(
            "delivery_ended", **about(caller), **of_order(delivery.id, delivery.ordered)
        )

    async def _consented_before(
        self, caller: Caller, delivery_id: str, shown: Shown
    ) -> Delivery | None:
        """Return the order if it stands already by the same code and login: an answer got lost."""
        try:
            found = await self._standing.one(delivery_id)
        except NotFound:
            return None
        if not found.is_with(caller.lease) or found.code_hash != shown.code_hash:
            raise _taken()
        return found

    async def _check_room(self, caller: Caller) -> None:
        standing = await self._standing.with_login(caller.lease)
        if len(standing) >= MOST_OF_A_LOGIN:
            raise NotAllowed(
                f"No more than {MOST_OF_A_LOGIN} orders may stand on one login.",
                "End one of them with: credbroker deliver end ID",
            )

    async def _note_consent(self, caller: Caller, delivery: Delivery) -> None:
        await self._audit.record(
            "delivery_consented",
            **about(caller),
            child=delivery.lease_id,
            ends_at=delivery.ends_at,
            **of_order(delivery.id, delivery.ordered),
        )

    async def _stop_waiting(self, found: Announced) -> None:
        try:
            await self._waiting.remove(found.id)
        except (
            CredbrokerError
        ) as error:  # it runs out by itself, and a second consent finds the first
            log.warning("announced_order_not_removed", delivery=found.id, why=error.sentence)


def of_order(delivery_id: str, ordered: Ordered) -> dict[str, object]:
    """Return what every audit line says of an order."""
    return {
        "delivery": delivery_id,
        "target": str(ordered.target),
        "uid": ordered.uid,
        "scope": " ".join(ordered.scopes),
        "audience": list(ordered.audiences),
    }


def _taken() -> NotFound:
    return NotFound("No order waits for consent by this id and code.")
