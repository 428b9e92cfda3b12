"""An operator's office with fakes for all that is outside, and what was said in it."""

from __future__ import annotations

import io
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office
from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.running import Deeds, Means
from credbroker.config.load import load
from credbroker.domain.hosts import Host
from credbroker.domain.marks import IssuerMark
from credbroker.domain.signing_keys import SigningKeys
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.issuer import FakeIssuer
from tests.fakes.store import MemoryRecords
from tests.unit.config.place import right, write

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.config.schema import Issuer as IssuerSettings
    from credbroker.domain.grants import Grant
    from credbroker.domain.leases import Lease
    from credbroker.domain.marks import Heartbeat, RewindMark
    from credbroker.domain.revocations import Revocations
    from credbroker.ports import Issuer

T = TypeVar("T")
ISSUER = "cms"


@dataclass
class Rooms:
    """Everything an office is opened on; `issuer` stands for every issuer of the settings."""

    office: Office
    clock: FakeClock
    issuer: FakeIssuer
    grants: MemoryRecords[Grant]
    marks: MemoryRecords[IssuerMark]
    rewind: MemoryRecords[RewindMark]
    heartbeats: MemoryRecords[Heartbeat]
    revocations: MemoryRecords[Revocations]
    leases: MemoryRecords[Lease]
    audit: FakeAudit
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def answered(self) -> str:
        """Return what a script would read."""
        return self.out.getvalue()

    def said(self) -> str:
        """Return what only a person reads."""
        return self.err.getvalue()

    @property
    def mark(self) -> IssuerMark:
        """What is known of the issuer now."""
        return self.marks.newest(name_segment(ISSUER))

    async def mark_as(self, **known: Any) -> None:
        """Let this be known of the issuer."""
        await self.marks.put(name_segment(ISSUER), IssuerMark(ISSUER, **known), 0)

    async def give(self, grant: Grant) -> None:
        """Store a grant in its place."""
        await self.grants.put(grant.key.segment(), grant, 0)

    async def done(self, deed: Coroutine[Any, Any, T]) -> T:
        """Run a command in as much fake time as it takes."""
        task = self.office.means.deeds.begin(deed, "a command")
        while not task.done():
            await self.clock.pass_time(100.0)
        return task.result()


def open_rooms(folder: Path, clock: FakeClock) -> Rooms:
    """Return an office over settings with the issuers `egi` and `cms`."""
    issuer, audit, entropy = FakeIssuer(clock), FakeAudit(), FakeEntropy()
    out, err = io.StringIO(), io.StringIO()
    grants = MemoryRecords["Grant"](clock)
    marks = MemoryRecords[IssuerMark](clock)
    rewind = MemoryRecords["RewindMark"](clock)
    heartbeats = MemoryRecords["Heartbeat"](clock)
    revocations = MemoryRecords["Revocations"](clock)
    leases = MemoryRecords["Lease"](clock)
    hosts = MemoryRecords[Host](clock)
    signing_keys = MemoryRecords[SigningKeys](clock)

    async def open_issuer(settings: IssuerSettings) -> Issuer:
        return issuer

    office = Office(
        load(write(folder, a=right(folder))),
        Desk(clock, entropy, out, err),
        Means(audit, clock, entropy, Deeds(clock)),
        grants,
        marks,
        rewind,
        heartbeats,
        revocations,
        leases,
        hosts,
        signing_keys,
        open_issuer,
    )
    return Rooms(
        office, clock, issuer, grants, marks, rewind, heartbeats, revocations, leases, audit, out, err
    )  # fmt: skip
