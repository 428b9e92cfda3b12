"""People who look at what is held in their name, and what there is to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.broker.leasing import Caller
from credbroker.domain.confirming import CameBack
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SshKey, SshKeys, place_of
from tests.unit.broker.confirming_world import ADA
from tests.unit.broker.htvault_world import deeds_of
from tests.unit.broker.notices_world import choosing_of
from tests.unit.broker.world import ISSUER, KEY, LINE, ORIGIN, READ, Replica, World

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from credbroker.broker.htvault import Htvault
    from credbroker.broker.logins.visiting import SentOn
    from credbroker.broker.notices.choosing import Choosing
    from credbroker.domain.leases import Lease
    from credbroker.domain.names import GrantKey
    from credbroker.wire.visits import Visitor

SSH_KEY = SshKey.parse(
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)


@dataclass
class VisitWorld:
    """A replica that visitors come to."""

    by_device: Collection[str] = ()
    world: World = field(default_factory=World)
    replica: Replica = field(init=False)
    deeds: Htvault = field(init=False)
    choosing: Choosing = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nobody."""
        self.replica = self.world.replica()
        self.deeds = deeds_of(self.world, self.replica, self.by_device)
        self.choosing = choosing_of(self.world, self.replica)

    async def sent(self) -> SentOn:
        """Begin a visit."""
        return await self.deeds.visiting.begin(ISSUER)

    async def back(
        self,
        sent: SentOn,
        code: str | None,
        cookie: str | None = None,
        *,
        issuer: str = ISSUER,
        iss: str = "",
    ) -> str:
        """Come back from the issuer, which says itself that it is `iss`; return what lets in."""
        shown = Secret("authorization code", code) if code is not None else None
        known = sent.cookie if cookie is None else cookie
        answer = CameBack(sent.state, shown, issuer, iss)
        return await self.deeds.visiting.returned(answer, known, ORIGIN)

    async def let_in(self, claims: Mapping[str, object] = ADA) -> str:
        """Do all that a browser does."""
        sent = await self.sent()
        return await self.back(sent, self.world.issuer.log_in(sent.go_to, claims))

    async def visitor(self, claims: Mapping[str, object] = ADA) -> Visitor:
        """Return who was let in."""
        visitor = self.deeds.visiting.visitor(await self.let_in(claims))
        assert visitor is not None
        return visitor

    async def lease(
        self, key: GrantKey = KEY, line: str = LINE, subject: str = "sub-ada"
    ) -> Caller:
        """Store the lease of a login."""
        _, lease = await self.replica.leasing.open(key, line, subject, 86400.0, ORIGIN)
        return Caller(lease, ORIGIN)

    async def job(self, caller: Caller, name: str = "job-1") -> Lease:
        """Store a job's lease."""
        _, lease = await self.replica.leasing.make_child(caller, READ, job=name, seconds=3600.0)
        return lease

    async def ssh_key(self, subject: str = "sub-ada") -> str:
        """Register an ssh key of ada's; return its fingerprint."""
        now = self.world.clock.now()
        record = SshKeys(ISSUER, "ada", self.world.issuer.url, subject, (SSH_KEY,), now)
        await self.world.ssh_keys.put(place_of(ISSUER, "ada"), record, 0)
        return SSH_KEY.fingerprint()
