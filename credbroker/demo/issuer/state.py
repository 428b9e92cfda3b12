"""Everything one issuer knows while it runs, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.families import RefreshTokens
from credbroker.demo.issuer.faults import FaultTable
from credbroker.demo.issuer.journal import Journal
from credbroker.demo.issuer.logins import AuthorizationCodes, DeviceLogins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credbroker.demo.issuer.families import Books
    from credbroker.demo.issuer.keys import SigningKeys
    from credbroker.demo.issuer.settings import Client, IssuerSettings, Person
    from credbroker.ports import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A backup of what an issuer keeps in its database: clients, grants, revocations."""

    clients: Mapping[str, Client] = field(repr=False)
    refresh_tokens: Books
    revoked_ids: frozenset[str]


@dataclass(slots=True)
class IssuerState:
    """The issuer's memory; `url` is its issuer string, known once its port is."""

    settings: IssuerSettings
    clock: Clock
    entropy: Entropy
    keys: SigningKeys
    url: str = ""
    faults: FaultTable = field(default_factory=FaultTable)
    journal: Journal = field(default_factory=Journal)
    revoked_ids: set[str] = field(default_factory=set)
    """The `jti` of access tokens revoked before their end."""
    clients: dict[str, Client] = field(init=False)
    people: dict[str, Person] = field(init=False)
    device_logins: DeviceLogins = field(init=False)
    codes: AuthorizationCodes = field(init=False)
    refresh_tokens: RefreshTokens = field(init=False)

    def __post_init__(self) -> None:
        """Open the books the settings ask for."""
        self.clients = {client.client_id: client for client in self.settings.clients}
        self.people = {person.name: person for person in self.settings.people}
        self.device_logins = DeviceLogins(self.settings, self.entropy)
        self.codes = AuthorizationCodes(self.settings.lifetimes.code, self.entropy)
        self.refresh_tokens = RefreshTokens(self.settings, self.entropy)

    def snapshot(self) -> Snapshot:
        """Return a backup; logins under way, faults and the diary are not in it."""
        books = self.refresh_tokens.copy()
        return Snapshot(dict(self.clients), books, frozenset(self.revoked_ids))

    def restore(self, backup: Snapshot) -> None:
        """Go back, or forward, to what a backup says; it can be used again."""
        self.clients = dict(backup.clients)
        self.refresh_tokens.put_back(backup.refresh_tokens)
        self.revoked_ids = set(backup.revoked_ids)

    def change_secret(self, client_id: str, secret: str | None) -> None:
        """Take only this secret from a client from now on; without one it is a public client.

        Raises:
            OAuthError: `invalid_client`, if nobody registered it.
        """
        self.clients[client_id] = replace(self.client(client_id), secret=secret)

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self.clock.now().timestamp()

    def address(self, path: str) -> str:
        """Return the absolute address of an endpoint."""
        return f"{self.url.rstrip('/')}/{path}"

    def client(self, client_id: str) -> Client:
        """Return a registered client.

        Raises:
            OAuthError: `invalid_client`.
        """
        if client_id not in self.clients:
            raise OAuthError("invalid_client", "Unknown client.", 401)
        return self.clients[client_id]
