"""Who is asking: the lease in the `Authorization` header, the address of the peer.

`Forwarded` headers are not looked at: the address that counts is the one at the other end of the
connection, or the one that a listed balancer named before it (`api.proxied`).
"""

from __future__ import annotations

from aiohttp import web

from credbroker.api.problems import LEASE_ID, REQUEST_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Caller, Leasing, Origin
from credbroker.domain.errors import LeaseUnknown
from credbroker.domain.leases import LeaseToken


def origin(request: web.Request) -> Origin:
    """Return where the request comes from."""
    return Origin(request.remote or "unknown", request[REQUEST_ID])


def is_there(request: web.Request) -> bool:
    """True until the peer has hung up, as far as is known here."""
    return request.transport is not None and not request.transport.is_closing()


def bearer_of(request: web.Request) -> str | None:
    """Return what the request shows as a bearer (RFC 6750 section 2.1); None if it shows nothing."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def shown_token(request: web.Request) -> LeaseToken:
    """Return the lease token that the request shows; raise `LeaseUnknown` if it is none."""
    text = bearer_of(request)
    if text is None:
        raise LeaseUnknown("No lease was shown.")
    token = LeaseToken.parse(text)
    request[LEASE_ID] = token.id
    return token


async def identify(request: web.Request, leasing: Leasing, strangers: Strangers) -> Caller:
    """Return the caller; raise `LeaseUnknown`, `LeaseEnded` or `TooManyRequests`."""
    with strangers.counted_unless_known(request):
        return await leasing.identify(shown_token(request), origin(request))
