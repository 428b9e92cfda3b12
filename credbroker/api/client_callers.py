"""Recognises the service that asks an issuer of ours, and counts who shows no good secret."""

from __future__ import annotations

import hashlib

from aiohttp import web

from credbroker.api.callers import origin
from credbroker.api.oauth_forms import login_in
from credbroker.api.problems import CLIENT_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.clients import Clients
from credbroker.broker.issuing.granting import ClientCaller
from credbroker.domain.clients import Client
from credbroker.domain.errors import UnknownClient
from credbroker.ports import Clock
from credbroker.wire.oauth import Form, Login

MOST_REMEMBERED = 1000


class ClientCallers:
    """The services that one community knows."""

    def __init__(self, clients: Clients, strangers: Strangers, clock: Clock) -> None:
        """Recognise `clients`; `strangers` counts who is none of them."""
        self._clients = clients
        self._strangers = strangers
        self._clock = clock
        self._seen: dict[bytes, Client] = {}

    def identify(self, request: web.Request, form: Form) -> ClientCaller:
        """Return who asks, who is to be answered in the time that its settings give.

        Raises `UnknownClient`, `Malformed`, and `TooManyRequests` for an address that shows bad
        secrets too often; whoever shows a good one is never counted.
        """
        came_at = self._clock.elapsed()
        shown = _digest(request, form)
        client = self._seen.get(shown) or self._recognised(request, form, shown)
        request[CLIENT_ID] = client.id
        return ClientCaller(client, origin(request), came_at + client.answer_seconds)

    def _recognised(self, request: web.Request, form: Form, shown: bytes) -> Client:
        """Return the client, and remember what it showed: its settings stay as they are."""
        with self._strangers.counted_unless_known(request, shown):
            client = self._known(login_in(request, form))
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[shown] = client
        return client

    def _known(self, login: Login) -> Client:
        *others, last = login.ids
        for name in others:
            try:
                return self._clients.identify(name, login.secrets)
            except UnknownClient:
                continue
        return self._clients.identify(last, login.secrets)


def _digest(request: web.Request, form: Form) -> bytes:
    """Return a digest of all that a client may log in with, in header and form."""
    header, name, secret = (
        request.headers.get("Authorization", ""),
        form.get("client_id") or "",
        form.get("client_secret") or "",
    )
    shown = f"{len(header)} {len(name)} {header}{name}{secret}"
    return hashlib.sha256(shown.encode(errors="surrogateescape")).digest()
