"""An issuer of ours on a port, with its own keys and grants; everything real but store and time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbroker.broker.issuing.communities import CommunityIssuer
from credbroker.broker.issuing.files import FilesSigning
from tests.unit.api.oauth_world import TOKEN, Asker, Said, served
from tests.unit.broker.issuing.granting_world import (
    COMMUNITY,
    FTS,
    SECRET,
    TABLE,
    GrantingWorld,
    IssuingReplica,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOGIN = {"client_id": FTS.id, "client_secret": SECRET.reveal()}
REVOKE, INTROSPECT = "/dteam/revoke", "/dteam/introspect"


@dataclass(frozen=True)
class Issuer:
    """The port, and what stands behind it."""

    world: GrantingWorld
    replica: IssuingReplica
    asker: Asker

    async def post(self, target: str = TOKEN, /, **form: str) -> Said:
        """Send a form as FTS."""
        return await self.asker.post({**LOGIN, **form}, target, headers={})

    async def subject(self) -> str:
        """Return a good token of Rucio's, which FTS may exchange."""
        return (await self.world.subject(self.replica)).reveal()


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    """Serve the community; its trail is that of the world, refusals are on the asker's."""
    world = GrantingWorld()
    replica = await world.replica()
    files = FilesSigning(replica.signing, TABLE, world.audit, lambda _client: None)
    community = CommunityIssuer(
        COMMUNITY, replica.signing, replica.granting, replica.revoking, files
    )
    async with served(community) as asker:
        yield Issuer(world, replica, asker)
