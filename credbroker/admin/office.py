"""Opens what an operator's command needs of a broker's settings: OpenBao/Vault, the trail, issuers.

It is no replica: it claims nothing, beats no heart and answers nobody. What it does stands in an
audit file of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from credbroker.admin.desk import Desk
from credbroker.broker.custody.issuer_marks import IssuerMarks
from credbroker.broker.running import Deeds, Means
from credbroker.building import open_issuer, open_vault
from credbroker.config.schema import Issuer as IssuerSettings
from credbroker.config.schema import Settings
from credbroker.domain.errors import NotFound
from credbroker.domain.grants import Grant
from credbroker.domain.hosts import Host
from credbroker.domain.leases import Lease
from credbroker.domain.marks import Heartbeat, IssuerMark, RewindMark
from credbroker.domain.revocations import Revocations
from credbroker.domain.signing_keys import SigningKeys
from credbroker.ports import Issuer, RecordStore
from credbroker.stores.records import (
    grant_records,
    heartbeat_records,
    host_records,
    issuer_mark_records,
    lease_records,
    revocation_records,
    rewind_records,
    signing_key_records,
)
from credbroker.telemetry.audit import AuditTrail

NAME = "admin"
"""Signs what an operator did, where a replica would sign with its own name."""

OpenIssuer = Callable[[IssuerSettings], Awaitable[Issuer]]


@dataclass(frozen=True, slots=True)
class Office:
    """What is open for one command."""

    settings: Settings
    desk: Desk
    means: Means
    grants: RecordStore[Grant]
    issuer_marks: RecordStore[IssuerMark]
    rewind: RecordStore[RewindMark]
    heartbeats: RecordStore[Heartbeat]
    revocations: RecordStore[Revocations]
    leases: RecordStore[Lease]
    hosts: RecordStore[Host]
    signing_keys: RecordStore[SigningKeys]
    open_issuer: OpenIssuer

    def settings_of(self, name: str) -> IssuerSettings:
        """Return an issuer's settings; raise `NotFound`, listing the names there are."""
        if name not in self.settings.issuers:
            names = ", ".join(self.settings.issuers)
            raise NotFound(f"The settings name no issuer {name[:64]!r}.", f"They name: {names}.")
        return self.settings.issuers[name]

    async def marks(self, issuers: Mapping[str, Issuer]) -> IssuerMarks:
        """Return what is known about these issuers, as it is now."""
        marks = IssuerMarks(self.issuer_marks, issuers, self.means, replica=NAME)
        await marks.read()
        return marks


async def open_office(settings: Settings, desk: Desk, stack: AsyncExitStack) -> Office:
    """Open the trail, and OpenBao/Vault as the broker; closed with `stack`.

    Raises `Misconfigured` or `StoreUnavailable` kinds.
    """
    audit = AuditTrail(settings.audit.folder, NAME, desk.clock)
    stack.callback(audit.close)
    vault = await open_vault(settings.vault, desk.clock, desk.entropy, stack)
    mount = settings.vault.mount
    return Office(
        settings,
        desk,
        Means(
            audit,
            desk.clock,
            desk.entropy,
            Deeds(desk.clock),
            check_clock=vault.check_clock,
        ),
        grant_records(vault, mount),
        issuer_mark_records(vault, mount),
        rewind_records(vault, mount),
        heartbeat_records(vault, mount),
        revocation_records(vault, mount),
        lease_records(vault, mount),
        host_records(vault, mount),
        signing_key_records(vault, mount),
        partial(open_issuer, clock=desk.clock, stack=stack),
    )
