"""What HTVault served under `/v1/`, for clients that know no other: tokens, stored logins, leases.

A vault token is a lease. Tokens are narrowed on `/creds/` just as on `/sts/`, and neither gives more
than the lease allows; HTVault knew no such limit and ignored scopes on `/creds/`. What is stored is
never a refresh token, but a login of this broker that the client names by its handle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from credbroker.api.bodies import body_of
from credbroker.api.htvault_legacy import HtvaultLegacy, is_foreign
from credbroker.api.strangers import Strangers
from credbroker.api.vault_answers import answer, auth_of, seconds_left
from credbroker.api.vault_callers import vault_caller
from credbroker.broker.ending import Ending
from credbroker.broker.leasing import Caller, Leasing
from credbroker.broker.minting import Minting
from credbroker.broker.reaching import Reaching
from credbroker.broker.turns import Turns
from credbroker.domain.attenuation import Wanted
from credbroker.domain.errors import LeaseEnded, Malformed, NotFound
from credbroker.domain.leases import Lease, check_login
from credbroker.domain.limits import Allowance
from credbroker.domain.names import GrantKey
from credbroker.domain.scopes import ScopeSet
from credbroker.ports import Clock
from credbroker.wire.fields import parse_object
from credbroker.wire.htvault import read_duration, read_seconds, split_list

DEFAULT_SECONDS = 60
LEAST_SECONDS = 10
# A credmon reads for all of a person's services at once.
PACE = Allowance(per_second=50.0, burst=500)

Place = Callable[[Caller, GrantKey, str], Awaitable[None]]
"""Stores, at a place, the login that a handle names."""


@dataclass(frozen=True, slots=True)
class HtvaultDeeds:
    """What the paths end in."""

    leasing: Leasing
    minting: Minting
    ending: Ending
    reaching: Reaching
    place: Place


class HtvaultApi:
    """Takes requests apart, calls one deed each, writes the answers in Vault's form."""

    def __init__(
        self,
        deeds: HtvaultDeeds,
        legacy: HtvaultLegacy,
        strangers: Strangers,
        clock: Clock,
        options_file: Path | None,
    ) -> None:
        """Serve these deeds; to vault tokens that are not ours, `legacy`.

        Whoever asks for htgettoken's options gets `options_file`.
        """
        self._deeds = deeds
        self._legacy = legacy
        self._strangers = strangers
        self._clock = clock
        self._turns = Turns(clock, PACE, "This lease is asked with too often.")
        self._options_file = options_file

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        stored = "/v1/secret/oauth/{kind:creds|sts}/{issuer}/{who:.+}"
        tokens = "/v1/auth/token"
        return [
            _get(stored, self._or_pass_on(self.read)),
            web.post(stored, self._or_pass_on(self.store)),
            web.delete(stored, self._or_pass_on(self.remove)),
            web.post(f"{tokens}/create", self._or_pass_on(self.create)),
            _get(f"{tokens}/lookup-self", self._or_pass_on(self.look_up)),
            web.post(f"{tokens}/renew-self", self._or_pass_on(self.renew)),
            web.post(f"{tokens}/revoke-self", self._or_pass_on(self.revoke)),
            _get("/v1/sys/health", self.health),
            _get("/htgettokenopts.txt", self.options),
        ]

    async def read(self, request: web.Request) -> web.Response:
        """Give an access token."""
        key = _key(request)
        caller = await self._caller(request)
        caller = await self._deeds.reaching.narrowed(caller, key.issuer, key.credkey, key.role)
        minted = await self._deeds.minting.mint_access_token(
            caller, _wanted(request.rel_url.raw_query_string)
        )
        token = minted.token
        return answer(
            {
                "access_token": token.value,
                "server": minted.issuer,
                "type": "Bearer",
                "expire_time": token.expires_at,
            }
        )

    async def store(self, request: web.Request) -> web.Response:
        """Put the login that the client just made in the place that the path names."""
        key = _key(request)
        caller = await self._caller(request)
        check_login(caller.lease)
        self._deeds.reaching.check(caller, key)
        asked = parse_object(await body_of(request), "The request")
        if asked.text("server") != key.issuer:
            raise Malformed("The server is not the issuer that the path names.")
        await self._deeds.place(caller, key, asked.text("refresh_token"))
        return web.Response(status=204)

    async def remove(self, request: web.Request) -> web.Response:
        """End what is stored, at the issuer as well; what is not there is not missed."""
        key = _key(request)
        caller = await self._caller(request)
        check_login(caller.lease)
        with contextlib.suppress(NotFound, LeaseEnded):
            caller = await self._deeds.reaching.narrowed(caller, key.issuer, key.credkey, key.role)
            await self._deeds.ending.log_out(caller, keep_lease=True)
        return web.Response(status=204)

    async def create(self, request: web.Request) -> web.Response:
        """Give a lease that lasts less long; whatever policies are asked for, it is no wider."""
        caller = await self._caller(request)
        asked = parse_object(await body_of(request) or b"{}", "The request")
        token, lease = await self._deeds.leasing.shorten(caller, read_duration(asked, "ttl"))
        return answer(auth=auth_of(token, lease, self._clock.now(), _metadata(lease)))

    async def look_up(self, request: web.Request) -> web.Response:
        """Tell how long the lease lasts; its id is said to nobody."""
        lease = (await self._caller(request)).lease
        return answer(
            {
                "ttl": seconds_left(lease, self._clock.now()),
                "creation_time": int(lease.created_at.timestamp()),
                "creation_ttl": int((lease.ends_at - lease.created_at).total_seconds()),
                "issue_time": lease.created_at,
                "expire_time": lease.ends_at,
                "meta": _metadata(lease),
                "orphan": not lease.ancestors,
                "policies": [],
                "renewable": False,
                "type": "service",
            }
        )

    async def renew(self, request: web.Request) -> web.Response:
        """Refuse: a lease ends when it was said to end."""
        await self._caller(request)
        raise Malformed("This lease is not renewable.", "Log in anew before it runs out.")

    async def revoke(self, request: web.Request) -> web.Response:
        """End the lease and those made from it."""
        await self._deeds.leasing.end(await self._caller(request))
        return web.Response(status=204)

    async def health(self, _request: web.Request) -> web.Response:
        """Answer as a Vault that is open; how this replica is, `/readyz` says."""
        return web.json_response({"initialized": True, "sealed": False, "standby": False})

    async def options(self, _request: web.Request) -> web.StreamResponse:
        """Give the options that the operator recommends to htgettoken."""
        if self._options_file is None or not self._options_file.is_file():
            raise NotFound("No options for htgettoken are kept here.", "Ask the operator for them.")
        return web.FileResponse(self._options_file, headers={"Content-Type": "text/plain"})

    def _or_pass_on(self, ours: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await (self._legacy.pass_on if is_foreign(request) else ours)(request)

        return handle

    async def _caller(self, request: web.Request) -> Caller:
        caller = await vault_caller(request, self._deeds.leasing, self._strangers)
        await self._turns.wait(caller.lease.id)
        return caller


def _get(path: str, handler: Handler) -> web.RouteDef:
    return web.get(path, handler, allow_head=False)


def _key(request: web.Request) -> GrantKey:
    """Read `<issuer>/<credkey>:<role>`; the credkey may hold anything, even colons and slashes."""
    credkey, colon, role = request.match_info["who"].rpartition(":")
    if not colon or not credkey or not role:
        raise Malformed("The path must end in <credkey>:<role>.")
    return GrantKey(request.match_info["issuer"], credkey, role)


@lru_cache(maxsize=1024)  # a program asks for the same thing over and over
def _wanted(query_string: str) -> Wanted:
    url = URL.build(query_string=query_string, encoded=True)
    floor = read_seconds(url.query.get("minimum_seconds", str(DEFAULT_SECONDS)), "minimum_seconds")
    scopes = _listed(url, "scopes")
    audiences = _listed(url, "audiences", "audience")
    return Wanted(
        scopes=ScopeSet.of(scopes) if scopes else None,
        audiences=tuple(audiences) or None,
        floor_seconds=max(LEAST_SECONDS, floor),
    )


def _listed(url: URL, *names: str) -> list[str]:
    given = [text for name in names for text in url.query.getall(name, [])]
    return split_list(",".join(given))


def _metadata(lease: Lease) -> dict[str, object]:
    return {"credkey": lease.key.credkey, "issuer": lease.key.issuer, "role": lease.key.role}
