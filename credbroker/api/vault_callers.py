"""Who is asking on the paths that HTVault had: the lease in `X-Vault-Token`."""

from __future__ import annotations

from aiohttp import web

from credbroker.api.callers import origin
from credbroker.api.problems import LEASE_ID
from credbroker.api.strangers import Strangers
from credbroker.broker.leasing import Caller, Leasing
from credbroker.domain.leases import LeaseToken


async def vault_caller(request: web.Request, leasing: Leasing, strangers: Strangers) -> Caller:
    """Return the caller; raise `LeaseUnknown`, `LeaseEnded` or `TooManyRequests`."""
    with strangers.counted_unless_known(request):
        token = LeaseToken.parse(request.headers.get("X-Vault-Token", "").strip())
        request[LEASE_ID] = token.id
        return await leasing.identify(token, origin(request))
