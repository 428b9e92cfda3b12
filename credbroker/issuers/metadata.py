"""What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414), fetched once a day.

The issuer string is pinned: metadata that names another issuer is refused. Every endpoint that the
broker sends to must be on the issuer's own host; only `jwks_uri` may be elsewhere, as the WLCG
profile allows, and the page that browsers are sent to.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url

from credbroker.domain.errors import IssuerMisbehaved, IssuerUnreachable, Malformed, Unavailable
from credbroker.ports import Clock, HttpDoor, NoAnswerError, NotSentError
from credbroker.wire.fields import Fields
from credbroker.wire.oidc import check_success

FRESH_SECONDS = 86400.0
# While the issuer is silent, an old copy is used without waiting for it each time.
TRY_AGAIN_SECONDS = 60.0
# Whoever is about to send a person to the issuer wants to know that it is there, and soon.
THERE_SECONDS = 10.0
QUICK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses that the broker uses."""

    token: str
    device: str
    jwks: str
    revocation: str | None
    authorization: str | None = None
    """Where a browser is sent to log in; None if the issuer has no such page."""
    userinfo: str | None = None
    """Where the issuer says more of a person; None if it does so nowhere, or on another host."""


class Metadata:
    """One issuer's endpoints; the last good copy is kept while the issuer is away."""

    def __init__(self, issuer_url: str, door: HttpDoor, clock: Clock, seconds: float) -> None:
        """Describe the issuer `issuer_url`; a fetch may take `seconds`."""
        self._issuer_url = issuer_url
        self._door = door
        self._clock = clock
        self._seconds = seconds
        self._held: Endpoints | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")

    async def endpoints(self) -> Endpoints:
        """Return the endpoints; raise `IssuerUnreachable` and its like."""
        now = self._clock.elapsed()
        fresh = now - self._fetched_at < FRESH_SECONDS
        if self._held is not None and (fresh or now - self._tried_at < TRY_AGAIN_SECONDS):
            return self._held
        self._tried_at = now
        try:
            self._held = await self._fetch(self._seconds)
            self._fetched_at = now
        except Unavailable:
            if self._held is None:
                raise
        return self._held

    async def check_there(self) -> None:
        """Return if they were fetched within `THERE_SECONDS`, or can be now; raise as `endpoints`."""
        now = self._clock.elapsed()
        if now - self._fetched_at >= THERE_SECONDS:
            self._held = await self._fetch(min(self._seconds, QUICK_SECONDS))
            self._fetched_at = now

    async def _fetch(self, seconds: float) -> Endpoints:
        url = str(get_well_known_url(self._issuer_url, external=True))
        try:
            answer = await self._door.get(url, seconds=seconds)
        except (NotSentError, NoAnswerError) as error:
            raise IssuerUnreachable("The issuer does not answer.") from error
        fields = check_success(answer.status, answer.body, "The issuer's metadata")
        try:
            return self._read(fields)
        except (Malformed, ValueError):
            raise IssuerMisbehaved("The issuer's metadata lacks something.") from None

    def _read(self, fields: Fields) -> Endpoints:
        if fields.text("issuer") != self._issuer_url:
            raise IssuerMisbehaved("The issuer's metadata names another issuer than the settings.")
        self._validate(fields)
        revocation = fields.optional("revocation_endpoint", fields.text)
        authorization = fields.optional("authorization_endpoint", fields.text)
        return Endpoints(
            token=self._own(fields.text("token_endpoint")),
            device=self._own(fields.text("device_authorization_endpoint")),
            jwks=self._secure(fields.text("jwks_uri")),
            revocation=self._own(revocation) if revocation is not None else None,
            authorization=self._secure(authorization) if authorization is not None else None,
            userinfo=self._own_or_none(fields),
        )

    def _validate(self, fields: Fields) -> None:
        """Have the library check what the standard demands of the addresses."""
        names = ("issuer", "token_endpoint", "jwks_uri", "authorization_endpoint")
        if urlsplit(self._issuer_url).scheme != "https":
            return  # a loopback issuer without TLS, which the settings allow and the library does not
        metadata = OpenIDProviderMetadata(
            {name: fields.optional(name, fields.text) for name in names}
        )
        try:
            for name in names:
                getattr(metadata, f"validate_{name}")()
        except ValueError:
            raise IssuerMisbehaved("The issuer's metadata breaks RFC 8414.") from None

    def _own(self, address: str) -> str:
        if urlsplit(address).netloc != urlsplit(self._issuer_url).netloc:
            raise IssuerMisbehaved("The issuer's metadata sends requests to another host.")
        return self._secure(address)

    def _own_or_none(self, fields: Fields) -> str | None:
        """Return where it speaks of persons: no login is worth less without."""
        try:
            return self._own(fields.text("userinfo_endpoint"))
        except (Malformed, IssuerMisbehaved):
            return None

    def _secure(self, address: str) -> str:
        if urlsplit(address).scheme != urlsplit(self._issuer_url).scheme:
            raise IssuerMisbehaved("The issuer's metadata mixes https with something else.")
        return address
