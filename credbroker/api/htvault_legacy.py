"""Vault tokens that are not ours, on the paths where an earlier HTVault may know them.

Reading, storing and deleting under `secret/oauth`, and looking at the token itself; every login is
this broker's own. What such a request shows counts against its address until the HTVault has taken
it, so nobody can use this broker to keep that one busy. An access point reads for thousands of people
one after the other, from one address: a request too many waits for its turn before it is turned away.
Neither token nor answer is written anywhere.
"""

from __future__ import annotations

import re

from aiohttp import web

from credbroker.api.bodies import body_of
from credbroker.api.callers import origin
from credbroker.api.strangers import Strangers
from credbroker.broker.legacy import Legacy
from credbroker.domain.errors import LeaseUnknown, Refused, TooManyRequests
from credbroker.domain.names import GrantKey, check_credkey, check_short_name
from credbroker.domain.secret import Secret
from credbroker.ports import Clock, HttpAnswer, PassedOn

OURS = "cb_"
_LOOKUP = "/v1/auth/token/lookup-self"
_SECRET = re.compile(r"/v1/secret/oauth/(creds|sts)/([^/]+)/(.+):([^:/]+)\Z")
_METHODS = {"creds": {"GET", "POST", "DELETE"}, "sts": {"GET"}}
# Words in a query that make Vault or OpenBao do something else than read.
_OTHER_DEEDS = {"list", "scan", "help"}
_VAULT_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,2048}\Z")
_ADDRESS = re.compile(r"/v1/(?:[!-$&-~]|%[0-9A-Fa-f]{2})*\Z")
PATIENCE_SECONDS = 1.0
# Whoever waits to the instant may find that a fraction less went by.
_ROUNDING_SECONDS = 0.001
# The rest of what came along is between the two servers.
_GIVEN_ON = ("content-type", "retry-after")


def is_foreign(request: web.Request) -> bool:
    """True if the request shows a vault token, and not one that this broker gives out."""
    shown = request.headers.get("X-Vault-Token", "")
    return bool(shown) and not shown.startswith(OURS)


class _NotTaken(Refused):
    """The HTVault answered, and not with what it would give to somebody it knows."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__("The HTVault did not take the request.")
        self.answer = answer


class HtvaultLegacy:
    """Passes requests on for which `is_foreign` is true."""

    def __init__(self, legacy: Legacy, strangers: Strangers, clock: Clock) -> None:
        """Ask through `legacy`; `strangers` counts what is not known to be good."""
        self._legacy = legacy
        self._strangers = strangers
        self._clock = clock

    async def pass_on(self, request: web.Request) -> web.Response:
        """Answer as the HTVault does that gave out the vault token which is shown.

        Raises `LeaseUnknown` where none is asked, `LegacyUnavailable`, `LeaseEnded`,
        `TooManyRequests`.
        """
        try:
            answer = await self._counted(request)
        except TooManyRequests as early:
            if early.wait_seconds > PATIENCE_SECONDS:
                raise
            await self._clock.sleep(early.wait_seconds + _ROUNDING_SECONDS)
            answer = await self._counted(request)
        headers = {name: answer.headers[name] for name in _GIVEN_ON if name in answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _counted(self, request: web.Request) -> HttpAnswer:
        try:
            with self._strangers.counted_unless_known(request):
                return await self._taken(request)
        except _NotTaken as not_taken:
            return not_taken.answer

    async def _taken(self, request: web.Request) -> HttpAnswer:
        about = _about(request)
        passed_on = await _as_it_came(request)
        answer = await self._legacy.pass_on(passed_on, origin(request), about=about)
        if answer.status >= 300:
            raise _NotTaken(answer)
        return answer


def _about(request: web.Request) -> GrantKey | None:
    """Return the grant that the path names, or None on the path about the token itself."""
    if _OTHER_DEEDS & request.query.keys():
        raise LeaseUnknown("The HTVault that a vault token is from is asked to read, and no more.")
    if request.path == _LOOKUP and request.method == "GET":
        return None
    match = _SECRET.match(request.path)
    steps = set(request.path.split("/")[1:])
    if match is None or request.method not in _METHODS[match[1]] or steps & {"", ".", ".."}:
        raise LeaseUnknown("This is not asked of the HTVault that a vault token is from.")
    _, issuer, credkey, role = match.groups()
    return GrantKey(
        check_short_name("issuer", issuer), check_credkey(credkey), check_short_name("role", role)
    )


async def _as_it_came(request: web.Request) -> PassedOn:
    shown = request.headers.get("X-Vault-Token", "")
    address = request.rel_url.raw_path_qs
    if not _VAULT_TOKEN.match(shown) or not _ADDRESS.match(address):
        raise LeaseUnknown("This is no vault token, or no address.")
    token = Secret("vault token", shown)
    return PassedOn(request.method, address, token, await body_of(request))
