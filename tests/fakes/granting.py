"""An issuer of ours without keys or store. Follows what `api.oauth` asks of a `CommunityIssuer`."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, cast

from credbroker.broker.issuing.granting import ClientCaller, Granted
from credbroker.domain.clients import Client
from credbroker.domain.errors import UnknownClient
from credbroker.domain.policy import Asked, Entitled
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from credbroker.broker.issuing.communities import CommunityIssuer

URL = "https://tokens.example.org:8200/dteam/"
CLIENT, SECRET = "rucio", "a-secret+of/rucio's%20own"
VALUE, REFRESH_VALUE = "access-token-value", "id.1.refresh-token-value"
SCOPE = "storage.read:/dteam"
AT = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def granted(*, refresh: bool = False) -> Granted:
    """Return what a client is given."""
    token = AccessToken(
        Secret("access token", VALUE), URL, CLIENT, ScopeSet.parse(SCOPE), ("https://se",), (),
        "1.0", "jti-1", "kid-1", AT, AT, AT + datetime.timedelta(hours=1), AT,
    )  # fmt: skip
    return Granted(token, 3600, Secret("refresh token", REFRESH_VALUE) if refresh else None)


class FakeClients:
    """Knows one client."""

    client = Client(
        CLIENT, frozenset(), Entitled(ScopeSet.parse(SCOPE), ("https://se",)), secret_sha256=""
    )

    def identify(self, client_id: str, secrets: Sequence[str]) -> Client:
        """Return the client if this is its id, and one of these its secret."""
        if client_id != CLIENT or SECRET not in secrets:
            raise UnknownClient("No such client and secret are known here.")
        return self.client

    def get(self, client_id: str) -> Client | None:
        """Return the client if this is its id."""
        return self.client if client_id == CLIENT else None


class FakeGranting:
    """Gives what is asked for, or fails as a test has it, or never answers."""

    def __init__(self) -> None:
        """Give every time."""
        self.clients = FakeClients()
        self.fails: Exception | None = None
        self.hangs: asyncio.Event | None = None
        self.asked: list[tuple[object, ...]] = []

    async def _give(self, *asked: object, refresh: bool = False) -> Granted:
        self.asked.append(asked)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.fails is not None:
            raise self.fails
        return granted(refresh=refresh)

    async def client_credentials(self, caller: ClientCaller, asked: Asked) -> Granted:
        """Give a token."""
        return await self._give(caller, asked)

    async def exchange(
        self,
        caller: ClientCaller,
        asked: Asked,
        subject_token: Secret,
        *,
        actor_token: Secret | None,
        refresh: bool,
    ) -> Granted:
        """Give a token for another, and a refresh token if asked."""
        return await self._give(caller, asked, subject_token, actor_token, refresh, refresh=refresh)

    async def refresh(self, caller: ClientCaller, asked: Asked, refresh_token: Secret) -> Granted:
        """Give a token and the same refresh token again."""
        return await self._give(caller, asked, refresh_token, refresh=True)


class FakeRevoking:
    """Remembers what was shown."""

    def __init__(self) -> None:
        """Know of no token."""
        self.revoked: list[Secret] = []
        self.claims: Mapping[str, object] = {"active": False}

    async def revoke(self, caller: ClientCaller, shown: Secret) -> None:
        """Remember it."""
        self.revoked.append(shown)

    async def look(self, caller: ClientCaller, shown: Secret) -> Mapping[str, object]:
        """Return what a test has set."""
        return self.claims


class FakeSigning:
    """Has keys for the document alone."""

    def __init__(self, url: str = URL) -> None:
        """Be the issuer `url`."""
        self.url = url
        self.keys: bytes | Exception = b'{"keys":[]}'

    def jwks(self) -> bytes:
        """Return the keys as a test has them."""
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


class FakeCommunity:
    """One community's issuer."""

    name = "dteam"

    def __init__(self, url: str = URL) -> None:
        """Serve it at `url`."""
        self.signing = FakeSigning(url)
        self.granting = FakeGranting()
        self.revoking = FakeRevoking()

    def as_issuer(self) -> CommunityIssuer:
        """Return it as what it stands in for."""
        return cast("CommunityIssuer", self)
