"""An OIDC issuer behind the `Issuer` port: device login, refresh, revocation, verification.

The broker is one confidential client at each issuer (HTTP Basic, RFC 6749 section 2.3.1). A refresh
token is only ever sent to this issuer's own token and revocation endpoints, whatever the answers say.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from credbroker.domain.attenuation import Right
from credbroker.domain.device import DeviceStart, LoginOutcome, PollOutcome
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerUnreachable,
    Malformed,
    NoRevocation,
)
from credbroker.domain.outcomes import Outcome, Unclear
from credbroker.domain.rotation import Rule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.issuers.kept_keys import KeptKeys
from credbroker.issuers.keys import Keys
from credbroker.issuers.metadata import Metadata
from credbroker.ports import (
    BeforeFirstByte,
    Clock,
    HttpAnswer,
    HttpDoor,
    NoAnswerError,
    NotSentError,
)
from credbroker.wire.exchange import (
    ACCESS_TOKEN_TYPE,
    EXCHANGE_GRANT,
    Exchanged,
    exchange_outcome,
)
from credbroker.wire.jwt import read_access_token
from credbroker.wire.oidc import (
    DEVICE_GRANT,
    check_probe,
    check_success,
    form,
    poll_outcome,
    read_device_start,
    read_retry_after,
    redeem_outcome,
    refresh_outcome,
)

_LEEWAY_SECONDS = 60.0
_LAST_SECOND = 253_402_300_800  # the year 10000
# An unsigned JWT, the form of INDIGO IAM's refresh tokens; to every issuer an unknown value.
_MADE_UP = "eyJhbGciOiJub25lIn0.eyJqdGkiOiJwcm9iZSJ9."
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this issuer wants to be spoken to; times in seconds. `rule` is what an operator set.

    Access tokens that are `proofs_only` may follow any profile: they are handed to nobody.
    """

    url: str
    client_id: str
    client_secret: Secret | None
    audience_parameter: str
    rule: Rule | None
    seconds: float
    refresh_seconds: float
    revoke_replaced: bool = True
    exchanges: bool = False
    proofs_only: bool = False


class OidcIssuer:
    """One configured issuer. Follows `ports.Issuer`."""

    def __init__(
        self, dialect: Dialect, door: HttpDoor, clock: Clock, kept: KeptKeys | None = None
    ) -> None:
        """Speak to the issuer through `door`; its keys are `kept` for a start without it."""
        self._dialect = dialect
        self._door = door
        self._clock = clock
        self._metadata = Metadata(dialect.url, door, clock, dialect.seconds)
        self._keys = Keys(self._metadata, door, clock, dialect.seconds, kept=kept)

    @property
    def url(self) -> str:
        """The exact issuer string."""
        return self._dialect.url

    @property
    def client_id(self) -> str:
        """The broker's client at this issuer."""
        return self._dialect.client_id

    @property
    def rule(self) -> Rule | None:
        """What an operator has set for a refresh without a clear answer; None if nothing."""
        return self._dialect.rule

    @property
    def refresh_seconds(self) -> float:
        """How long the answer to a refresh is waited for, where no rule says less."""
        return self._dialect.refresh_seconds

    @property
    def revoke_replaced(self) -> bool:
        """Whether a new login has the refresh token it replaces revoked here."""
        return self._dialect.revoke_replaced

    @property
    def exchanges(self) -> bool:
        """Whether narrower tokens are got by token exchange here."""
        return self._dialect.exchanges

    async def check_there(self) -> None:
        """Find out if it answers at all; see `ports.Issuer`."""
        await self._metadata.check_there()

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login; see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        fields = {"client_id": self._dialect.client_id, "scope": str(scopes)}
        answer = await self._post(endpoints.device, fields)
        return read_device_start(answer.status, answer.body)

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Ask once whether the person has confirmed; see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        fields = {
            "grant_type": DEVICE_GRANT,
            "device_code": device_code.reveal(),
        }
        answer = await self._post(endpoints.token, fields)
        return poll_outcome(answer.status, answer.body)

    async def authorization_url(
        self, scopes: ScopeSet, redirect_uri: str, *, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where a browser goes to log in; see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        if endpoints.authorization is None:
            raise IssuerMisbehaved("The issuer's metadata names no page to log in at.")
        query = {
            "response_type": "code",
            "client_id": self._dialect.client_id,
            "redirect_uri": redirect_uri,
            "scope": str(scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in endpoints.authorization else "?"
        return f"{endpoints.authorization}{joint}{form(query).decode()}"

    async def redeem(self, code: Secret, verifier: Secret, redirect_uri: str) -> LoginOutcome:
        """Use an authorization code, once; see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        fields = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.reveal(),
        }
        answer = await self._post(endpoints.token, fields)
        return redeem_outcome(answer.status, answer.body)

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Check an ID token (OpenID Connect Core section 3.1.3.7); see `ports.Issuer`."""
        claims = await self._keys.verify(id_token)
        now = self._clock.now().timestamp()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._dialect.url or self._dialect.client_id not in audiences:
            raise IssuerMisbehaved("The issuer's ID token is for somebody else.")
        if len(audiences) > 1 and claims.get("azp") != self._dialect.client_id:
            raise IssuerMisbehaved("The issuer's ID token was made for another client.")
        if not _is_time(claims.get("exp")) or now >= claims["exp"] + _LEEWAY_SECONDS:
            raise IssuerMisbehaved("The issuer's ID token has expired: is a clock wrong?")
        if not _is_time(claims.get("iat")) or claims["iat"] - _LEEWAY_SECONDS > now:
            raise IssuerMisbehaved("The issuer's ID token is from the future: is a clock wrong?")
        return claims

    async def userinfo(self, access_token: Secret, *, seconds: float) -> Mapping[str, object]:
        """Ask for what it says of a person; see `ports.Issuer`."""
        address = (await self._metadata.endpoints()).userinfo
        if address is None:
            return {}
        shown = {"Accept": "application/json", "Authorization": f"Bearer {access_token.reveal()}"}
        try:
            answer = await self._door.get(address, headers=shown, seconds=seconds)
        except (NotSentError, NoAnswerError) as error:
            raise IssuerUnreachable("The issuer does not answer.") from error
        fields = check_success(answer.status, answer.body, "What the issuer says of a person")
        return {name: fields.raw(name) for name in ("sub", "email", "email_verified")}

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        """Use a refresh token once; see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        fields: dict[str, str | Sequence[str] | None] = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
            "scope": str(right.scopes) or None,
            **self._audiences(right.audiences),
        }
        try:
            answer = await self._door.post(
                endpoints.token,
                self._form(fields),
                headers=self._headers(),
                seconds=seconds,
                before_first_byte=before_first_byte,
            )
        except NotSentError as error:
            raise IssuerUnreachable("The issuer does not answer.") from error
        except NoAnswerError:
            return Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))
        rest = read_retry_after(answer.headers.get("retry-after"), self._clock.now())
        return refresh_outcome(answer.status, answer.body, rest)

    async def exchange(self, subject_token: Secret, right: Right) -> Exchanged:
        """Swap an access token for a narrower one; see `ports.Issuer`.

        INDIGO IAM demands a scope; both types are sent although it reads neither.
        """
        endpoints = await self._metadata.endpoints()
        fields: dict[str, str | Sequence[str] | None] = {
            "grant_type": EXCHANGE_GRANT,
            "subject_token": subject_token.reveal(),
            "subject_token_type": ACCESS_TOKEN_TYPE,
            "requested_token_type": ACCESS_TOKEN_TYPE,
            "scope": str(right.scopes) or None,
            **self._audiences(right.audiences),
        }
        answer = await self._post(endpoints.token, fields)
        rest = read_retry_after(answer.headers.get("retry-after"), self._clock.now())
        return exchange_outcome(answer.status, answer.body, rest)

    async def probe(self) -> None:
        """Find out if the issuer is there and takes our client; see `ports.Issuer`."""
        try:
            await self._keys.fetch_afresh()
            endpoints = await self._metadata.endpoints()
        except IssuerUnreachable:
            raise
        except CredbrokerError as error:
            raise IssuerFailed("The issuer's metadata or keys cannot be read.") from error
        fields = {"grant_type": "refresh_token", "refresh_token": _MADE_UP}
        answer = await self._post(endpoints.token, fields)
        check_probe(answer.status, answer.body)

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Check an access token's signature and read it; see `ports.Issuer`."""
        await self._keys.verify(value)
        try:
            any_profile = self._dialect.proofs_only
            return read_access_token(value, self._clock.now(), any_profile=any_profile)
        except Malformed as error:
            raise IssuerMisbehaved(
                f"The issuer's token does not follow the WLCG profile. {error.sentence}"
            ) from None

    async def revoke(self, refresh_token: Secret) -> None:
        """Revoke a refresh token (RFC 7009); see `ports.Issuer`."""
        endpoints = await self._metadata.endpoints()
        if endpoints.revocation is None:
            raise NoRevocation("The issuer offers no way to revoke a refresh token.")
        fields = {"token": refresh_token.reveal(), "token_type_hint": "refresh_token"}
        answer = await self._post(endpoints.revocation, fields)
        if answer.status != 200:
            check_success(answer.status, answer.body, "The issuer's answer to a revocation")

    async def _post(self, url: str, fields: Mapping[str, str | Sequence[str] | None]) -> HttpAnswer:
        try:
            return await self._door.post(
                url, self._form(fields), headers=self._headers(), seconds=self._dialect.seconds
            )
        except (NotSentError, NoAnswerError) as error:
            raise IssuerUnreachable("The issuer does not answer.") from error

    def _audiences(self, audiences: Sequence[str]) -> Mapping[str, str | Sequence[str]]:
        """Write audiences as this issuer reads them: one list in a field, or a field for each."""
        name = self._dialect.audience_parameter
        if name == "resource":
            return {name: audiences}
        return {name: " ".join(audiences)} if audiences else {}

    def _form(self, fields: Mapping[str, str | Sequence[str] | None]) -> bytes:
        """Write a form; a client without a secret names itself in it (RFC 6749 section 3.2.1)."""
        if self._dialect.client_secret is None:
            fields = {**fields, "client_id": self._dialect.client_id}
        return form(fields)

    def _headers(self) -> dict[str, str]:
        """Return the headers of a form post, with the client's own proof (RFC 6749 2.3.1)."""
        secret = self._dialect.client_secret
        if secret is None:
            return dict(_FORM)
        pair = f"{quote(self._dialect.client_id, safe='')}:{quote(secret.reveal(), safe='')}"
        return {**_FORM, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _is_time(value: Any) -> bool:
    """True for a number of seconds; neither NaN nor what no date can be made of."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < _LAST_SECOND
