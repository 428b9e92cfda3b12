"""Lets each lease ask at a steady pace: who asks faster waits, and is only then sent away.

A client that is refused a read begins a new login, so waiting is the milder answer.
"""

from __future__ import annotations

from collections import OrderedDict

from credbroker.domain.errors import TooManyRequests
from credbroker.domain.limits import Allowance
from credbroker.ports import Clock

# A credmon reads for all of a person's services at once.
PACE = Allowance(per_second=50.0, burst=500)
# The rest of the time until an answer is due is left for the read itself.
LONGEST_WAIT_SECONDS = 5.0
MOST_LEASES = 50_000


class Turns:
    """Counts what each lease asks for."""

    def __init__(self, clock: Clock, pace: Allowance = PACE) -> None:
        """Let each lease ask as often as `pace` says."""
        self._clock = clock
        self._pace = pace
        self._made_up_at: OrderedDict[str, float] = OrderedDict()

    async def wait(self, lease_id: str) -> None:
        """Return when it is this lease's turn.

        Raises `TooManyRequests` at once if that is further off than `LONGEST_WAIT_SECONDS`.
        """
        now = self._clock.elapsed()
        made_up_at = self._made_up_at.get(lease_id, now)
        wait = self._pace.wait_seconds(made_up_at, now)
        if wait > LONGEST_WAIT_SECONDS:
            raise TooManyRequests("This lease is asked with too often.", wait_seconds=wait)
        self._made_up_at[lease_id] = self._pace.once_more(made_up_at, now)
        self._made_up_at.move_to_end(lease_id)
        if len(self._made_up_at) > MOST_LEASES:
            self._made_up_at.popitem(last=False)
        if wait > 0:
            await self._clock.sleep(wait)
