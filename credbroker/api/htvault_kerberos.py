"""`auth/kerberos-<issuer>_<role>/login` as htgettoken uses it: a ticket for a lease.

htgettoken ends with any answer but 200, and tries the next way to log in when that one brings no
lease. So whatever keeps a login from coming about is a warning in an answer without one.
"""

from __future__ import annotations

import base64
import binascii

import structlog
from aiohttp import web

from credbroker.api.callers import origin
from credbroker.api.strangers import Strangers
from credbroker.api.vault_answers import answer, auth_of
from credbroker.broker.logins.kerberos_logins import KerberosLogins
from credbroker.domain.errors import CredbrokerError
from credbroker.ports import Clock

log = structlog.get_logger(__name__)


class HtvaultKerberos:
    """Takes tickets from the `Authorization` header, and answers in Vault's form."""

    def __init__(self, logins: KerberosLogins, strangers: Strangers, clock: Clock) -> None:
        """Log in through `logins`; every request counts as a stranger's."""
        self._logins = logins
        self._strangers = strangers
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the one address. It is there, and answers, also where nobody set up Kerberos."""
        return [web.post("/v1/auth/kerberos-{place}/login", self.log_in)]

    async def log_in(self, request: web.Request) -> web.Response:
        """Answer with a lease, or say in a warning why there is none."""
        place = request.match_info["place"]
        try:
            self._strangers.count(request)
            found = await self._logins.log_in(place, _shown(request), origin(request))
        except CredbrokerError as error:
            log.info("no_kerberos_login", path=request.path, error=error.code, why=error.sentence)
            return answer(warnings=[f"{error.sentence} {error.remedy}"])
        metadata = {
            "user": found.principal.name,
            "domain": found.principal.realm,
            "credkey": found.lease.key.credkey,
        }
        return answer(auth=auth_of(found.token, found.lease, self._clock.now(), metadata))


def _shown(request: web.Request) -> bytes:
    """Return the GSS token that the request shows (RFC 4559 section 4.2), empty if it shows none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "negotiate":
        return b""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
