"""Whose a uid is on this host, and that nobody gets what somebody else ordered.

- An order is a person's, not a number's: a uid may be given to another after its person has left,
  and be another's on another host of a group. So the name is compared each time a token is due.
- The host's directory may hang. It is asked by threads of its own and for a short while; whom it does
  not name in time waits, and nobody else does.
"""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from credbroker.domain.errors import Busy, CredbrokerError, NotAllowed, NotFound
from credbroker.edge.orders import Asker, Fresh, Order
from credbroker.ports import Clock

KNOWN_SECONDS = 60.0
ANSWER_SECONDS = 5.0
_LOOK_UPS_AT_ONCE = 4
_MOST_KNOWN = 10_000

UserOf = Callable[[int], str]


def user_of(uid: int) -> str:
    """Return a person's name on this host; raise `NotFound` for a uid without one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise NotFound(
            f"The uid {uid} has no name on this host.", "Ask the operator of this host."
        ) from None


class Accounts:
    """The names of this host's people, each believed for a minute."""

    def __init__(self, clock: Clock, look_up: UserOf = user_of) -> None:
        """Ask by `look_up`."""
        self._clock = clock
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(_LOOK_UPS_AT_ONCE, thread_name_prefix="accounts")
        self._known: dict[int, tuple[str, float]] = {}

    async def name(self, uid: int) -> str:
        """Return who has this uid now.

        Raises `NotFound` if nobody has, and `Busy` if the host does not say in time.
        """
        now = self._clock.elapsed()
        name, since = self._known.get(uid, ("", float("-inf")))
        if now - since < KNOWN_SECONDS:
            return name
        asking = asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, uid)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                name = await asking
        except TimeoutError:
            raise Busy(f"This host does not say who the uid {uid} is.") from None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[uid] = (name, now)
        return name

    def close(self) -> None:
        """Ask for no other name."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class OwnOnly:
    """The way to the broker for orders whose uid is still their person's. Follows `edge.orders.Asker`."""

    def __init__(
        self, asker: Asker, ordered_by: Callable[[str], str | None], accounts: Accounts
    ) -> None:
        """Ask `asker`; `ordered_by` says by an order's id who ordered it, None if nobody did."""
        self._asker = asker
        self._ordered_by = ordered_by
        self._accounts = accounts
        self.most_at_once = asker.most_at_once

    async def ask(self, orders: Sequence[Order]) -> Sequence[Fresh | CredbrokerError]:
        """Return each order's token, or why there is none; raises as the asker does."""
        refusals = await asyncio.gather(*map(self._refusal, orders))
        own = [order for order, why in zip(orders, refusals, strict=True) if why is None]
        answers = iter(await self._asker.ask(own) if own else ())
        return [why or next(answers) for why in refusals]

    async def _refusal(self, order: Order) -> CredbrokerError | None:
        ordered_by = self._ordered_by(order.id)
        assert order.place.owner is not None
        uid = order.place.owner[0]
        if ordered_by is None:
            return NotFound("This order does not stand any more.")
        try:
            name = await self._accounts.name(uid)
        except CredbrokerError as unknown:
            return unknown
        if name != ordered_by:
            return NotAllowed(
                f"This was ordered by {ordered_by}, and the uid {uid} is {name} here.",
                "Order anew with: credbroker deliver new",
            )
        return None
