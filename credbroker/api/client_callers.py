"""Recognises the service that asks an issuer of ours, and counts who shows no good secret.

- A good secret is never counted, and what others at the same address show keeps none out. Only who
  guesses at one client does, and only at one that has not been seen here: guesses are counted for
  each address and client, and one too many is not looked at.
- The same bad secret again is no guess. It counts against its address, as what names no client does.
"""

from __future__ import annotations

import hashlib

from aiohttp import web

from credbroker.api.callers import origin
from credbroker.api.oauth_forms import login_in
from credbroker.api.problems import CLIENT_ID, COMMUNITY
from credbroker.api.strangers import Strangers
from credbroker.broker.issuing.clients import Clients
from credbroker.broker.issuing.granting import ClientCaller
from credbroker.broker.issuing.remembering import Remembering
from credbroker.domain.clients import Client
from credbroker.domain.errors import Refused, UnknownClient
from credbroker.ports import Clock
from credbroker.wire.oauth import Form, Login

MOST_REMEMBERED = 1000


class ClientCallers:
    """The services that one community knows."""

    def __init__(
        self, community: str, clients: Clients, strangers: Strangers, clock: Clock
    ) -> None:
        """Recognise `clients` of `community`; `strangers` counts who is none of them."""
        self._community = community
        self._clients = clients
        self._strangers = strangers
        self._clock = clock
        self._seen = Remembering[Client](MOST_REMEMBERED)
        self._refused = Remembering[bool](MOST_REMEMBERED)

    def identify(self, request: web.Request, form: Form) -> ClientCaller:
        """Return who asks, who is to be answered in the time that its settings give.

        Raises `UnknownClient`, `Malformed`, and `TooManyRequests` for an address that shows too much
        that is bad; see the rules above.
        """
        came_at = self._clock.elapsed()
        shown = _digest(request, form)
        client = self._seen.get(shown) or self._recognised(request, form, shown)
        request[CLIENT_ID], request[COMMUNITY] = client.id, self._community
        return ClientCaller(client, origin(request), came_at + client.answer_seconds)

    def _recognised(self, request: web.Request, form: Form, shown: bytes) -> Client:
        """Return the client, and remember what it showed: its settings stay as they are."""
        login = self._login(request, form)
        name = next((one for one in login.ids if self._clients.get(one) is not None), "")
        is_guess = bool(name) and not self._refused.get(shown)
        guessed_at = f"{self._community}/{name}" if is_guess else ""
        with self._strangers.counted_unless_known(request, shown, guessed_at):
            try:
                client = self._clients.identify(name, login.secrets)
            except UnknownClient:
                self._refused.keep(shown, True)
                raise
        self._seen.keep(shown, client)
        return client

    def _login(self, request: web.Request, form: Form) -> Login:
        try:
            return login_in(request, form)
        except Refused:
            self._strangers.count(request)
            raise


def _digest(request: web.Request, form: Form) -> bytes:
    """Return a digest of all that a client may log in with, in header and form."""
    header, name, secret = (
        request.headers.get("Authorization", ""),
        form.get("client_id") or "",
        form.get("client_secret") or "",
    )
    shown = f"{len(header)} {len(name)} {header}{name}{secret}"
    return hashlib.sha256(shown.encode(errors="surrogateescape")).digest()
