"""A community with clients, whose replicas share stores; everything real but the store and time."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from credbroker.broker.containing import Containing
from credbroker.broker.issuing.clients import Clients, client_of
from credbroker.broker.issuing.granting import ClientCaller, Granting
from credbroker.broker.issuing.offline import Offlines
from credbroker.broker.issuing.revoking import Revoking
from credbroker.broker.issuing.signing import Signing, algorithms
from credbroker.broker.leasing import Origin
from credbroker.config.communities import ServiceClient
from credbroker.domain.clients import Client
from credbroker.domain.issued_refresh import IssuedRefresh
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked
from credbroker.domain.revocations import Revocations
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.stores.login_seal import AesLoginSeal
from tests.fakes.signing import SigningWorld
from tests.fakes.store import MemoryRecords

COMMUNITY = "dteam"
SE1, SE2 = "https://se1.example.org", "https://se2.example.org"
ORIGIN = Origin("192.0.2.7", "request-1")
TABLE = LifetimeTable.of({})
SECRET = Secret("client secret", "opensesame")


def service(client_id: str, **changes: Any) -> Client:
    """Return a client with all grants, as settings would make it."""
    settings: dict[str, Any] = {
        "scopes": [
            "offline_access",
            "fts",
            "storage.read:/",
            "storage.create:/",
            "storage.stage:/",
        ],
        "audiences": [SE1, SE2, "https://*.cern.test"],
        "default_audiences": [SE1],
        "grants": ("client_credentials", "token_exchange", "refresh_token"),
    }
    return client_of(client_id, ServiceClient(**settings | changes), SECRET)


RUCIO = service("rucio")
FTS = service("fts", exchanges_for=["rucio"])
ROTATING = service("rotating", exchanges_for=["rucio"], rotates=True)
CLIENTS = (RUCIO, FTS, ROTATING)


def asked(scope: str | None = None, *audiences: str, seconds: int | None = None) -> Asked:
    """Return a request that names these."""
    scopes = ScopeSet.parse(scope) if scope is not None else None
    return Asked(scopes, audiences or None, seconds)


@dataclass(frozen=True)
class IssuingReplica:
    """What one replica serves the community by."""

    signing: Signing
    containing: Containing
    offlines: Offlines
    granting: Granting
    revoking: Revoking


class GrantingWorld:
    """Stores, a clock, a trail; `replica` starts one more over them."""

    def __init__(self, *clients: Client) -> None:
        """Serve `clients`, or Rucio, FTS, and a client that rotates."""
        self.base = SigningWorld()
        self.clock, self.audit, self.means = self.base.clock, self.base.audit, self.base.means
        self.marks = MemoryRecords[Revocations](self.clock)
        self.issued = MemoryRecords[IssuedRefresh](self.clock)
        self.seal = AesLoginSeal(
            Secret("login key", base64.urlsafe_b64encode(b"k" * 32).rstrip(b"=").decode())
        )
        self.clients = {one.id: one for one in clients or CLIENTS}

    async def replica(self) -> IssuingReplica:
        """Start a replica."""
        keyring, containing = self.base.keyring(), Containing(self.marks, self.means)
        await keyring.open()
        choice = algorithms("ES256", {})
        signing = Signing(
            self.base.url, keyring, containing, self.means, choice, services=self.clients
        )
        offlines = Offlines(COMMUNITY, self.issued, self.seal, containing, self.means)
        granting = Granting(
            COMMUNITY,
            Clients(self.clients),
            TABLE,
            signing,
            offlines,
            containing=containing,
            means=self.means,
        )
        revoking = Revoking(COMMUNITY, signing, offlines, containing, self.means)
        return IssuingReplica(signing, containing, offlines, granting, revoking)

    def caller(self, client: Client, seconds: float = 2.5) -> ClientCaller:
        """Return a caller that wants its answer within `seconds`."""
        return ClientCaller(client, ORIGIN, self.clock.elapsed() + seconds)

    async def subject(
        self,
        replica: IssuingReplica,
        scope: str = "offline_access storage.read:/data",
        *audiences: str,
    ) -> Secret:
        """Return an access token of Rucio's."""
        granted = await replica.granting.client_credentials(
            self.caller(RUCIO), asked(scope, *audiences)
        )
        return granted.token.value
