"""Knows the clients of one community, by what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from credbroker.config.communities import ServiceClient
from credbroker.domain.clients import Client
from credbroker.domain.errors import UnknownClient
from credbroker.domain.policy import Entitled
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret

_NOBODY = Client("", frozenset(), Entitled(ScopeSet(), ()), secret_sha256="-" * 64)


class Clients:
    """The clients of one community, by id."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        """Know these."""
        self._clients = clients

    def identify(self, client_id: str, secrets: Sequence[str]) -> Client:
        """Return the client of this id if one of `secrets` is its own.

        Several are the readings of one that was sent: as it came, and percent-decoded. Raises
        `UnknownClient`, in about the same time whether the id or the secret is unknown.
        """
        client = self._clients.get(client_id, _NOBODY)
        # What is no text, such as half a character, is nobody's secret.
        texts = filter(str.isprintable, secrets)
        fit = [client.has_secret(Secret("client secret", shown)) for shown in texts]
        if not any(fit):
            raise UnknownClient("No client has this id and secret here.")
        return client

    def get(self, client_id: str) -> Client | None:
        """Return the client of this id, whoever asks; None if there is none."""
        return self._clients.get(client_id)


def entitled(settings: ServiceClient) -> Entitled:
    """Return what the settings of a client let it have signed. Raises `Malformed` for a bad scope."""
    default, longest = settings.default_scopes, settings.longest_seconds
    return Entitled(
        scopes=ScopeSet.of(settings.scopes),
        audiences=tuple(settings.audiences),
        default_scopes=ScopeSet.of(default) if default is not None else None,
        default_audiences=tuple(settings.default_audiences),
        longest_seconds=int(longest) if longest is not None else None,
        stage_adds_read=settings.stage_adds_read,
    )


def client_of(client_id: str, settings: ServiceClient, secret: Secret | None) -> Client:
    """Return the client that the settings describe.

    `secret` is what stands in its `secret_file`, None where the settings have the hash of it.
    """
    digest = secret.digest() if secret is not None else settings.secret_sha256
    return Client(
        id=client_id,
        grants=frozenset(settings.grants),
        entitled=entitled(settings),
        secret_sha256=digest or _NOBODY.secret_sha256,
        reuse_seconds=settings.reuse_seconds,
        answer_seconds=settings.answer_seconds,
        exchanges_for=frozenset(settings.exchanges_for),
        offline_seconds=settings.offline_seconds,
        rotates=settings.rotates,
    )
