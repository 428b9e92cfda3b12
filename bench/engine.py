"""One replica's deeds over real stores, as `serve` builds and runs them, without HTTP in front."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from credbroker.broker.running import Deeds, Means
from credbroker.building import build_engine, open_all, open_kept
from credbroker.config.load import load
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.telemetry.audit import AuditTrail
from credbroker.telemetry.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bench.ground import Ground
    from credbroker.broker.custody.refreshing import Wish
    from credbroker.broker.engine import Engine, Stores

_LOOK_AGAIN_SECONDS = 0.05
# A refresh that was begun is awaited however long it takes.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Replica:
    """One replica: its deeds and its stores."""

    engine: Engine
    stores: Stores

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return once something has become so."""
        while not is_so():
            await SystemClock().sleep(_LOOK_AGAIN_SECONDS)

    async def until_trusted(self) -> None:
        """Return once it counts as one of the replicas, which a newcomer does not at once."""
        await self.until(lambda: not self.engine.replicas.share().newcomer)

    async def refresh(self, wish: Wish) -> None:
        """Refresh once, for as long as it takes."""
        await self.engine.refreshing.refresh(wish, PATIENCE_SECONDS)


@asynccontextmanager
async def open_replica(ground: Ground, name: str) -> AsyncIterator[Replica]:
    """Build one replica on this ground and run all that lasts; what was begun is finished after."""
    clock, entropy = SystemClock(), SystemEntropy()
    settings = load(ground.write_settings(name, port=0))
    async with AsyncExitStack() as stack:
        audit = AuditTrail(settings.audit.folder, name, clock)
        stack.callback(audit.close)
        outgoing = Outgoing(clock, CollectorRegistry())
        kept = await open_kept(settings, name, clock, entropy, stack, outgoing=outgoing)
        opened = await open_all(settings, kept, clock, stack, outgoing=outgoing)
        means = Means(audit, clock, entropy, Deeds(clock))
        engine = build_engine(settings, opened, means, name)
        async with lasting(engine):
            try:
                yield Replica(engine, opened.stores)
            finally:
                await means.deeds.finish()


@asynccontextmanager
async def lasting(engine: Engine) -> AsyncIterator[None]:
    """Run what runs for as long as a replica does."""
    async with asyncio.TaskGroup() as tasks:
        begun = [
            tasks.create_task(one.run())
            for one in (engine.beating, engine.keeping, engine.recovering)
        ]
        try:
            yield
        finally:
            for task in begun:
                task.cancel()
