"""Deletes refresh tokens of ours a day after they would have run out, ended early or not.

The rules of `broker.keeper.clearing` hold. Until then an ended one stays, so that the exchange that it
came from cannot be repeated.
"""

from __future__ import annotations

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.keeper.clearing import Clearable, every_round, found_in, go_round, is_past
from credbroker.broker.running import Means
from credbroker.domain.issued_refresh import IssuedRefresh

KEPT_SECONDS = 86400.0


class IssuedClearing:
    """The clearing away of such records that this process does."""

    def __init__(self, issued: Clearable[IssuedRefresh], replicas: Replicas, means: Means) -> None:
        """Clear what is over of `issued`; each of the `replicas` its own shards."""
        self._issued = issued
        self._replicas = replicas
        self._clock = means.clock

    async def run(self) -> None:
        """Go round for ever, the first time after an hour."""
        await every_round(self.once, self._clock, "issued_refresh_tokens_not_cleared")

    async def once(self) -> None:
        """Go round once. Raises `StoreUnavailable` kinds."""
        await go_round(self._issued, self._is_over, self._replicas, self._clock)

    async def _is_over(self, segment: str) -> bool:
        stored = await found_in(self._issued, segment)
        if stored is None:
            return False
        return is_past(stored, stored.value.ends_at, KEPT_SECONDS, self._clock.now())
