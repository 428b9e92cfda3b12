"""Everything of one campaign, opened in order and closed whatever happens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from credbroker.demo.issuer import SigningKeys
from tests.chaos import pace as paces
from tests.chaos.cluster import Cluster
from tests.chaos.disks import SmallDisk
from tests.chaos.fleet import START_SECONDS, Broker, BrokerError, Fleet
from tests.chaos.houses import close_houses, open_houses
from tests.chaos.people import People
from tests.chaos.points import Points
from tests.chaos.proxy import Proxies
from tests.chaos.records import Records
from tests.chaos.sandboxes import Sandboxes
from tests.chaos.witness import Witness

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.host.clock import SystemClock
    from credbroker.ports import Entropy
    from tests.chaos.houses import House
    from tests.chaos.pace import Pace

_LOOK_SECONDS = 0.05
_START_TRIES = 5
_SPOOL_DISK_KIB = 4096


class World:
    """OpenBao, issuers, brokers, people and jobs; `dice` is the campaign's seeded chance."""

    def __init__(
        self, folder: Path, pace: Pace, clock: SystemClock, entropy: Entropy, dice: Entropy
    ) -> None:
        """Prepare all of it below `folder`."""
        self.folder = folder
        self.pace = pace
        self.clock = clock
        self.entropy = entropy
        self.dice = dice
        self.plant = ""
        self.vault_is_away = 0
        self.restored: list[tuple[float, float]] = []
        """When each backup was taken that came back, and when it did (elapsed seconds)."""
        self.spool_disk = SmallDisk(folder / "custody-there", _SPOOL_DISK_KIB)
        self.spool_disk_in_use = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Start everything but the work; brokers are ready afterwards, and everybody has logged in."""
        self.cluster = Cluster(self.folder / "openbao", self.pace.nodes, self.clock, self.entropy)
        self._stack.callback(self.cluster.close)
        await self.cluster.start()
        self.records = Records(self.cluster, self.clock)
        await self.records.open()
        self._stack.push_async_callback(self.records.close)
        self.houses = await open_houses(self.pace, SigningKeys(), self.clock, self.entropy)
        self._stack.push_async_callback(close_houses, self.houses)
        self.points = Points(self.folder / "points.sock", self.clock)
        await self.points.open()
        self._stack.push_async_callback(self.points.close)
        self.witness = Witness(self.clock)
        self.proxies = Proxies(self.cluster, self.witness, self.clock, self.entropy)
        self.proxies.lives = lambda broker: self.points.lives[broker]
        await self.proxies.open()
        self._stack.push_async_callback(self.proxies.close)
        self.fleet = Fleet(self.folder, self.cluster, self.houses, self.points, self.entropy)
        self.fleet.plant = self.plant
        self.spool_disk.open()
        self._stack.callback(self.spool_disk.close)
        self._stack.callback(self.fleet.close)
        for name in paces.BROKERS:
            broker = self.fleet.add(name, await self.proxies.addresses_for(name))
            await broker.start()
        self.people = People(self)
        await self.people.open()
        self._stack.push_async_callback(self.people.close)
        for broker in self.fleet.brokers.values():
            await self.until_serving(broker)
        self.sandboxes = Sandboxes(self)
        self._stack.push_async_callback(self.sandboxes.close)

    async def close(self) -> None:
        """End everything that was started, brokers before what they lean on."""
        await self._stack.aclose()

    async def until_serving(self, broker: Broker) -> None:
        """Return when a broker serves; start it again if it gave up while OpenBao was away."""
        ends, tries = self.clock.elapsed() + START_SECONDS, 0
        while not broker.serves:
            if not broker.runs:
                await broker.start(broker.offset, broker.config)
                tries += 1
            if self.vault_is_away:
                ends, tries = self.clock.elapsed() + START_SECONDS, 0
            if self.clock.elapsed() > ends or tries > _START_TRIES:
                raise BrokerError(f"The broker {broker.name} did not start; see {broker.log_file}.")
            await self.clock.sleep(_LOOK_SECONDS)

    def any_well(self) -> Broker | None:
        """Return a broker that serves with right clock and settings, any of them."""
        well = [one for one in self.fleet.brokers.values() if one.serves and one.is_right]
        return well[int(self.dice.fraction() * len(well))] if well else None

    def is_calm_for(self, segment: str, generation: int) -> bool:
        """True if whoever claimed this generation is well now, and OpenBao is there."""
        if self.vault_is_away:
            return False
        claims = self.witness.claims(segment, generation)
        owners = {one.broker for one in claims} or set(self.fleet.brokers)
        return all(self.fleet.brokers[name].serves for name in owners)

    def house(self, name: str) -> House:
        """Return an issuer by its name."""
        return next(one for one in self.houses if one.name == name)
