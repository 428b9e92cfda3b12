"""Lets each of many do something at a steady pace: who is faster waits, and is only then sent away.

A client that is refused may begin a new login, so waiting is the milder answer.
"""

from __future__ import annotations

from collections import OrderedDict

from credbroker.domain.errors import TooManyRequests
from credbroker.domain.limits import Allowance
from credbroker.ports import Clock

# The rest of the time until an answer is due is left for what was waited for.
LONGEST_WAIT_SECONDS = 5.0
MOST_NAMES = 50_000


class Turns:
    """Counts what each name stands for did."""

    def __init__(self, clock: Clock, pace: Allowance, too_often: str) -> None:
        """Let each do it as often as `pace` says; `too_often` is the sentence for who is refused."""
        self._clock = clock
        self._pace = pace
        self._too_often = too_often
        self._made_up_at: OrderedDict[str, float] = OrderedDict()

    async def wait(self, name: str) -> None:
        """Return when it is the turn of who goes by this name.

        Raises `TooManyRequests` at once if that is further off than `LONGEST_WAIT_SECONDS`.
        """
        now = self._clock.elapsed()
        made_up_at = self._made_up_at.get(name, now)
        wait = self._pace.wait_seconds(made_up_at, now)
        if wait > LONGEST_WAIT_SECONDS:
            raise TooManyRequests(self._too_often, wait_seconds=wait)
        self._made_up_at[name] = self._pace.once_more(made_up_at, now)
        self._made_up_at.move_to_end(name)
        if len(self._made_up_at) > MOST_NAMES:
            self._made_up_at.popitem(last=False)
        if wait > 0:
            await self._clock.sleep(wait)
