"""Grants that somebody should be told of, and what was told of them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credbroker.broker.leasing import Caller
from credbroker.broker.notices.choosing import Choosing
from credbroker.broker.notices.deeds import NoticeBounds, Notices, NoticeStores, assemble
from credbroker.broker.notices.telling import MAIL, WEBHOOK
from credbroker.broker.running import Means
from credbroker.domain.grants import GrantState
from credbroker.domain.notices import Choice, NoticeRules, ToldRecord
from tests.fakes.channel import FakeChannel
from tests.fakes.store import MemoryRecords
from tests.unit.broker.world import DAY, ORIGIN, READ, Replica, World

if TYPE_CHECKING:
    from credbroker.domain.deliveries import Delivery
    from credbroker.domain.grants import Grant
    from credbroker.domain.leases import Lease
    from credbroker.domain.names import GrantKey

ADDRESS = "ada@example.org"
PUBLIC_URL = "https://broker.test:8200"


def means_of(world: World, replica: Replica) -> Means:
    """Return what a replica's deeds run on."""
    return Means(world.audit, world.clock, world.entropy, replica.deeds)


def choosing_of(world: World, replica: Replica, *, offers_mail: bool = True) -> Choosing:
    """Return choices of their own."""
    records = MemoryRecords[Choice](world.clock)
    return Choosing(records, means_of(world, replica), offers_mail=offers_mail)


@dataclass
class NoticesWorld:
    """A world whose replicas tell by a mail channel and a webhook that all of them share."""

    world: World = field(default_factory=World)
    mail: FakeChannel = field(default_factory=FakeChannel)
    webhook: FakeChannel = field(default_factory=FakeChannel)
    orders: list[Delivery] = field(default_factory=list)
    most_per_minute: int = 20

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self.told = MemoryRecords[ToldRecord](self.world.clock)
        self.choices = MemoryRecords[Choice](self.world.clock)

    def notices(self, replica: Replica, *channels: str) -> Notices:
        """Return what tells at a replica, by all channels or by those named."""
        ways = {MAIL: self.mail, WEBHOOK: self.webhook}
        return assemble(
            replica.engine,
            NoticeStores(self.world.grants, self.told, self.choices),
            {one: ways[one] for one in channels or ways},
            means_of(self.world, replica),
            bounds=NoticeBounds(PUBLIC_URL, NoticeRules(28 * DAY), self.most_per_minute),
            orders_with=self._orders_with,
        )

    async def _orders_with(self, _lease: Lease) -> list[Delivery]:
        return self.orders

    async def person(self, replica: Replica, **changes: Any) -> Caller:
        """Store a grant of somebody with an address, and the lease of their login."""
        await self.world.give_grant()
        await self.world.rewrite(mail=ADDRESS, **changes)
        return await self.login(replica)

    async def login(
        self, replica: Replica, key: GrantKey | None = None, days: float = 28.0
    ) -> Caller:
        """Store one more login's lease on the usual grant, or another."""
        key = key or self.world.grant.key
        grant = self.world.grants.newest(key.segment())
        _, lease = await replica.leasing.open(key, grant.line, "sub-ada", days * DAY, ORIGIN)
        return Caller(lease, ORIGIN)

    async def job(self, replica: Replica, caller: Caller, name: str = "run42") -> Lease:
        """Store a job's lease, for as long as a job may."""
        _, lease = await replica.leasing.make_child(caller, READ, job=name, seconds=DAY)
        return lease

    async def is_now(self, telling: Notices, state: GrantState, **more: Any) -> Grant:
        """Let the usual grant come into a state, and this replica hear of it."""
        grant = await self.world.rewrite(state=state, **more)
        telling.telling.learn(grant)
        return grant

    async def ends_in(self, days: float) -> Grant:
        """Have the issuer end the usual grant so many days from now, whatever is refreshed."""
        end = self.world.clock.now() + datetime.timedelta(days=days)
        return await self.world.rewrite(refresh_expires_at=end)

    async def rounds(self, *tellings: Notices, seconds: float = 600.0) -> None:
        """Let time pass, then go round at each."""
        self.world.clock.advance(seconds)
        for one in tellings:
            await one.telling.once()

    def subjects(self) -> list[str]:
        """Return the subjects of all mails that have arrived."""
        return [one.subject for one in self.mail.letters]

    def causes(self) -> list[object]:
        """Return the causes of all events that the webhook got."""
        return [one.event["cause"] for one in self.webhook.letters]
