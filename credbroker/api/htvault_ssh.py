"""Logins by ssh agent and the registration of its keys, as clients of HTVault ask for them.

What cannot log in by ssh is answered so that the client goes on: to its next key on an error, to a
login at the issuer where a good key finds no grant that lives.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import origin
from credbroker.api.strangers import Strangers
from credbroker.api.vault_answers import answer, auth_of
from credbroker.api.vault_callers import vault_caller
from credbroker.broker.leasing import Caller, Leasing
from credbroker.broker.logins.ssh_logins import SshLogins
from credbroker.broker.logins.ssh_registering import SshRegistering
from credbroker.domain.ssh_keys import SshKey
from credbroker.ports import Clock
from credbroker.wire.ssh_keys import read_public_keys, read_ssh_proof

_NO_GRANT = "The ssh key is good, but there is no login for it to go on; log in at the issuer."


class HtvaultSsh:
    """Takes requests below `auth/ssh` apart, calls one deed each, writes the answers."""

    def __init__(
        self,
        logins: SshLogins,
        registering: SshRegistering,
        leasing: Leasing,
        strangers: Strangers,
        clock: Clock,
    ) -> None:
        """Serve these deeds; `strangers` counts who shows no lease."""
        self._logins = logins
        self._registering = registering
        self._leasing = leasing
        self._strangers = strangers
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return all that is served below `auth/ssh`."""
        keys = "/v1/auth/ssh/role/{credkey:.+}"
        return [
            web.get("/v1/auth/ssh/nonce", self.nonce),
            web.post("/v1/auth/ssh/login", self.log_in),
            web.post(keys, self.register),
            web.get(keys, self.listed),
            web.delete(keys, self.remove),
        ]

    async def nonce(self, request: web.Request) -> web.Response:
        """Give what is to be signed, as its UTF-8 bytes."""
        self._strangers.count(request)
        return answer({"nonce": self._logins.nonce()})

    async def log_in(self, request: web.Request) -> web.Response:
        """Log in by one key."""
        self._strangers.count(request)
        proof = read_ssh_proof(await body_of(request))
        opened = await self._logins.log_in(proof, origin(request))
        if opened is None:
            return answer(warnings=[_NO_GRANT])
        token, lease = opened
        metadata = {
            "issuer": lease.key.issuer,
            "group": lease.key.role,
            "role": lease.key.credkey,
            "credkey": lease.key.credkey,
        }
        return answer(auth=auth_of(token, lease, self._clock.now(), metadata))

    async def register(self, request: web.Request) -> web.Response:
        """Put keys in the place of all that were registered."""
        caller = await self._caller(request)
        lines = read_public_keys(await body_of(request))
        record, left_out = await self._registering.register(caller, _credkey(request), lines)
        return answer({"keys": _shown(record.keys)}, warnings=left_out)

    async def listed(self, request: web.Request) -> web.Response:
        """List the registered keys."""
        keys = await self._registering.listed(await self._caller(request), _credkey(request))
        return answer({"keys": _shown(keys)})

    async def remove(self, request: web.Request) -> web.Response:
        """Take one key away, named by `?fingerprint=SHA256:…`."""
        # A plus in a query means a space, which no fingerprint has.
        fingerprint = request.query.get("fingerprint", "").replace(" ", "+")
        caller = await self._caller(request)
        await self._registering.remove(caller, _credkey(request), fingerprint)
        return web.Response(status=204)

    async def _caller(self, request: web.Request) -> Caller:
        return await vault_caller(request, self._leasing, self._strangers)


def _credkey(request: web.Request) -> str:
    return request.match_info["credkey"]


def _shown(keys: Iterable[SshKey]) -> list[dict[str, str]]:
    return [{"type": key.kind, "fingerprint": key.fingerprint()} for key in keys]
