"""One replica over the fakes, as a monitoring system sees it."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from credbroker.api.metrics import Metrics, Sources
from credbroker.api.outlook import Outlook
from credbroker.host.siblings import Told
from credbroker.telemetry.counting import CountedAudit
from credbroker.telemetry.notices import show_notices
from credbroker.telemetry.outgoing import Outgoing
from tests.fakes.door import FakeDoor
from tests.fakes.door import answer as door_answer
from tests.unit.broker.world import DAY, ISSUER, WANT_READ, Replica, World


class Others:
    """Other workers, who say what a test has them say."""

    def __init__(self, before: str) -> None:
        """Nobody is there yet; `before` is what was told in our place."""
        self.said = Told()
        self.told: bytes = b""
        self.kept: bytes = b""
        self._before = before

    def before(self) -> str:
        """Return what was told."""
        return self._before

    def keep(self, text: bytes) -> None:
        """Hear what is to be told."""
        self.kept = text

    async def tell(self, text: Callable[[], bytes]) -> None:
        """Hear once what is told."""
        self.told = text()

    async def ask(self) -> Told:
        """Say it."""
        return self.said


class Scraped:
    """One replica as a monitoring system sees it."""

    def __init__(self, before: str = "") -> None:
        self.world = World()
        self.registry = CollectorRegistry()
        self.audit = CountedAudit(self.world.audit, [ISSUER], self.registry)
        self.world.audit = self.audit  # type: ignore[assignment] # all that is done is counted
        self.replica = self.world.replica()
        self.troubles: list[str] = []
        self.door = FakeDoor(lambda _sent: door_answer(200))
        outlook = Outlook(self.replica.engine, self.world.clock, DAY)
        sources = Sources(
            self.replica.engine,
            outlook,
            self.world.clock,
            lambda: self.troubles,
            lambda: -2.5,
            lambda: 1.5,
        )
        self.others = Others(before)
        self.metrics = Metrics(sources, self.registry, self.others)
        outgoing = Outgoing(self.world.clock, self.registry)
        show_notices(lambda: 0.0, self.registry)
        self.doors = [outgoing.to_vault(self.door), outgoing.to_issuer(ISSUER, self.door)]

    async def give_token(self, replica: Replica | None = None) -> None:
        """Let a person's job have a token."""
        await self.world.give_grant()
        _, caller = await self.world.give_lease(replica or self.replica)
        await (replica or self.replica).minting.mint_access_token(caller, WANT_READ)

    async def text(self) -> str:
        """Return what a scrape answers."""
        answer = await self.metrics.scrape(make_mocked_request("GET", "/metrics"))
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert isinstance(answer.body, bytes)
        return answer.body.decode()

    async def value(self, sample: str) -> float | None:
        """Return a number by its name and labels as they are written, None if it is absent."""
        found = re.search(
            rf"^{re.escape('credbroker_' + sample)} (\S+)$", await self.text(), re.MULTILINE
        )
        return float(found[1]) if found is not None else None
