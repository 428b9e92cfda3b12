"""Deletes what was told of grants and issuers once it matters no more; choices stay."""

from __future__ import annotations

from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.keeper.clearing import Clearable, every_round, found_in, go_round
from credbroker.broker.running import Means
from credbroker.domain.notices import ToldRecord

KEPT_SECONDS = 100 * 86400.0
"""Longer than any grant stays in one trouble: who does not log in for so long is let go of."""


class NoticesClearing:
    """The clearing away that this process does."""

    def __init__(self, told: Clearable[ToldRecord], replicas: Replicas, means: Means) -> None:
        """Clear what of `told` is old; each of the `replicas` its own shards."""
        self._told = told
        self._replicas = replicas
        self._clock = means.clock

    async def run(self) -> None:
        """Go round for ever, the first time after an hour."""
        await every_round(self.once, self._clock, "notices_not_cleared")

    async def once(self) -> None:
        """Go round once. Raises `StoreUnavailable` kinds."""
        await go_round(self._told, self._is_old, self._replicas, self._clock)

    async def _is_old(self, segment: str) -> bool:
        """A choice, which shares the folder, is damaged to the reader of what was told."""
        stored = await found_in(self._told, segment)
        return stored is not None and stored.age_seconds > KEPT_SECONDS
