"""The pulse of a replica: every 10 s it says that it lives and looks at what the others said.

In one beat: the heartbeat with its counts, the issuers' marks, the rewind counter, and the spools
that nobody owns any more. What fails is tried again at the next beat and stops nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from credbroker.broker.custody.handing_in import HandingIn
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.custody.rewinding import Rewinding
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.marks import IssuerCount
from credbroker.ports import Clock

BEAT_SECONDS = 10.0
# A replica that is about to go tries again so soon.
LAST_PAUSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Beating:
    """Beats for ever."""

    def __init__(
        self,
        replicas: Replicas,
        marks: IssuerMarks,
        rewinding: Rewinding,
        handing_in: HandingIn,
        counts: Callable[[], Mapping[str, IssuerCount]],
        *,
        clock: Clock,
        more: Mapping[str, Callable[[], Awaitable[object]]] | None = None,
    ) -> None:
        """Tell the others `counts`, by issuer, with each beat; do `more`, by name, after the rest."""
        self._steps: dict[str, Callable[[], Awaitable[object]]] = {
            "heartbeat": lambda: replicas.beat(counts()),
            "marks": marks.read,
            "rewind": rewinding.beat,
            "spool": handing_in.hand_in,
            **(more or {}),
        }
        self.handing_in = handing_in
        self._clock = clock
        self._beating = asyncio.Lock()
        self._failing: set[str] = set()
        self._waiting_entries = 0

    @property
    def waiting_entries(self) -> int:
        """How many spooled successors could not be handed in at the last beat."""
        return self._waiting_entries

    async def run(self) -> None:
        """Beat for ever, the first time at once."""
        while True:
            await self.beat()
            await self._clock.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Do all that is due, each for itself; one beat at a time, or one could pass another."""
        async with self._beating:
            await self._beat()

    async def empty_spool(self, seconds: float) -> int:
        """Hand in what waits, for `seconds` at the most; return how many entries stay, 1 if unknown.

        They are for the next life of this replica, or for a neighbour that sees the folder. One that is
        being handed in stays, too, and is found needless there.
        """
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        emptying = asyncio.ensure_future(self._hand_in_all())
        await asyncio.wait({limit, emptying}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        emptying.cancel()
        await asyncio.wait({limit, emptying})
        return max(1, self._waiting_entries) if self._spool_waits() else 0

    async def _hand_in_all(self) -> None:
        while self._spool_waits():
            async with self._beating:
                await self._take("spool")
            if self._spool_waits():
                await self._clock.sleep(LAST_PAUSE_SECONDS)

    def _spool_waits(self) -> bool:
        return self._waiting_entries > 0 or "spool" in self._failing

    async def _beat(self) -> None:
        for name in self._steps:
            await self._take(name)

    async def _take(self, name: str) -> None:
        try:
            result = await self._steps[name]()
        except CredbrokerError as error:
            if name not in self._failing:
                log.warning("beat_failed", step=name, why=error.sentence)
            self._failing.add(name)
        else:
            self._failing.discard(name)
            if name == "spool" and isinstance(result, int):
                self._waiting_entries = result
