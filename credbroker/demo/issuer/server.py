"""The issuer as one object: start it, approve logins, switch faults on, read its diary, stop it.

It runs in the caller's event loop on a loopback address. Going dark closes its port and resets
its connections while it keeps all it knows; a request under way still acts, but answers nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from credbroker.demo.issuer import scopes as scope_rules
from credbroker.demo.issuer.browser import Browser
from credbroker.demo.issuer.consent import Asked
from credbroker.demo.issuer.endpoints import Endpoints, cut
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.keys import SigningKeys
from credbroker.demo.issuer.state import IssuerState

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from credbroker.demo.issuer.faults import FaultTable
    from credbroker.demo.issuer.journal import Entry
    from credbroker.demo.issuer.logins import DeviceLogin
    from credbroker.demo.issuer.settings import Client, IssuerSettings, Person, RefreshPolicy
    from credbroker.demo.issuer.state import Snapshot
    from credbroker.ports import Clock, Entropy


class DevIssuer:
    """A running development issuer."""

    def __init__(
        self,
        settings: IssuerSettings,
        clock: Clock,
        entropy: Entropy,
        ssl_context: ssl.SSLContext | None = None,
        keys: SigningKeys | None = None,
    ) -> None:
        """Prepare an issuer; it serves https when given `ssl_context`, and signs with `keys`."""
        self.keys = keys or SigningKeys()
        self._state = IssuerState(settings, clock, entropy, self.keys)
        self._ssl_context = ssl_context
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._host = ""
        self._port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve on a loopback address; port 0 takes a free one, which `url` then names."""
        app = web.Application()
        app.add_routes([*Endpoints(self._state).routes(), *Browser(self._state).routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self._host, self._port = host, port
        await self.come_back()
        self._port = self._runner.addresses[0][1]
        scheme = "https" if self._ssl_context else "http"
        self._state.url = self._state.settings.url or f"{scheme}://{host}:{self._port}/"

    async def stop(self) -> None:
        """Close the port and every connection; requests under way are given up."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None

    async def go_dark(self) -> None:
        """Refuse connections from now on and reset those that are open; all state is kept."""
        if self._site is None or self._runner is None or self._runner.server is None:
            return
        await self._site.stop()
        self._site = None
        for connection in self._runner.server.connections:
            cut(connection.transport)

    async def come_back(self) -> None:
        """Serve again on the same port."""
        if self._runner is None:
            raise RuntimeError("The issuer was never started, or was stopped: call start().")
        if self._site is None:
            site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._ssl_context)
            await site.start()
            self._site = site

    @property
    def url(self) -> str:
        """Return the issuer string, with its final slash; empty before `start`."""
        return self._state.url

    @property
    def faults(self) -> FaultTable:
        """Return the table of faults, to switch them on and off."""
        return self._state.faults

    @property
    def journal(self) -> list[Entry]:
        """Return every request at an OAuth endpoint so far, oldest first."""
        return self._state.journal.entries

    @property
    def refresh_tokens_issued(self) -> list[str]:
        """Return every refresh-token value given out so far, oldest first, in clear."""
        return self._state.refresh_tokens.issued()

    def count_refreshes(self) -> int:
        """Return how many refreshes were acted on, answered or not."""
        return self._state.journal.count_refreshes()

    def posts_of(self, refresh_token: str) -> list[Entry]:
        """Return every request that presented this refresh token for a refresh, acted on or not."""
        return self._state.journal.posts_of(refresh_token)

    def posts_by_value(self) -> Mapping[str, list[Entry]]:
        """Return every refresh request, by the SHA-256 (hex) of the refresh token it carried."""
        return self._state.journal.posts()

    def entry_of(self, jti: str) -> Entry | None:
        """Return the request whose answer held the access token with this `jti`, if any did."""
        return self._state.journal.of_jti(jti)

    def snapshot(self) -> Snapshot:
        """Return a backup of clients, grants and revocations."""
        return self._state.snapshot()

    def restore(self, backup: Snapshot) -> None:
        """Go back, or forward, to a backup, as after a database was restored.

        A value that was rotated since is alive again, and its successor was never heard of.
        """
        self._state.restore(backup)

    def switch_policy(self, policy: RefreshPolicy) -> None:
        """Treat refresh tokens by another policy from now on, also those given out before."""
        self._state.refresh_tokens.policy = policy

    def change_secret(self, client_id: str, secret: str | None) -> None:
        """Take only this secret from a client from now on; None makes it a public one.

        Raises:
            OAuthError: nobody registered that client.
        """
        self._state.change_secret(client_id, secret)

    def grant_for(self, person: str, client_id: str, scopes: Iterable[str] = ()) -> str:
        """Return the refresh token of a new grant, as if the person had gone through a login.

        Without `scopes` the person grants all that the client is registered for.

        Raises:
            OAuthError: nobody has that name, or the client or its right to a scope is unknown.
        """
        client, chosen = self._state.client(client_id), tuple(scopes)
        scope_rules.check_registered(client.scopes, chosen, client_id)
        asked = Asked(client_id, chosen or client.scopes)
        now = self._state.now()
        grant = asked.granted_by(self._person(person), None, now)
        return self._state.refresh_tokens.begin(grant, now)

    def add_client(self, client: Client) -> None:
        """Register one more client, for those whose redirect URI is known only later."""
        self._state.clients[client.client_id] = client

    def approve(
        self, user_code: str, person: str = "alice", scopes: Iterable[str] | None = None
    ) -> None:
        """Let a configured person agree to a device login, to some of its scopes or to all.

        Raises:
            OAuthError: nobody may decide on that code, or nobody has that name.
        """
        login = self._pending(user_code)
        somebody = self._person(person)
        login.grant = login.asked.granted_by(somebody, scopes, self._state.now())

    def deny(self, user_code: str) -> None:
        """Refuse a device login.

        Raises:
            OAuthError: nobody may decide on that code.
        """
        self._pending(user_code).denied = True

    def _person(self, name: str) -> Person:
        if name not in self._state.people:
            raise OAuthError("access_denied", f"Nobody here is called {name}.")
        return self._state.people[name]

    def _pending(self, user_code: str) -> DeviceLogin:
        login = self._state.device_logins.find(user_code, self._state.now())
        if login is None:
            raise OAuthError("invalid_request", "This code is unknown or no longer valid.")
        return login
