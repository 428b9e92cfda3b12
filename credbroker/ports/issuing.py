"""Where tokens come from: issuers, our own signing, and the HTVault that an issuer had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from credbroker.domain.attenuation import Right
from credbroker.domain.device import DeviceStart, LoginOutcome, PollOutcome
from credbroker.domain.grants import Grant
from credbroker.domain.outcomes import Outcome
from credbroker.domain.policy import Asked
from credbroker.domain.rotation import Rule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.ports.outgoing import BeforeFirstByte, HttpAnswer


class Issuer(Protocol):
    """One configured token provider."""

    @property
    def url(self) -> str:
        """The exact issuer string, as it stands in tokens."""

    @property
    def client_id(self) -> str:
        """The broker's client there. A refresh token is never sent under another one."""

    @property
    def rule(self) -> Rule | None:
        """What an operator has set for a refresh without a clear answer; None if nothing."""

    @property
    def refresh_seconds(self) -> float:
        """How long the answer to a refresh is waited for."""

    @property
    def revoke_replaced(self) -> bool:
        """Whether a new login has the refresh token it replaces revoked.

        False for issuers that tie a person's logins together, so that revoking one ends the other.
        """

    async def check_there(self) -> None:
        """Return if the issuer answers, or has within the last seconds; asks little, waits little.

        Raises `IssuerUnreachable` and its like.
        """

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login (RFC 8628 section 3.1). Raises `IssuerUnreachable` and its like."""

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Ask once whether the person has confirmed (RFC 8628 section 3.4)."""

    async def authorization_url(
        self, scopes: ScopeSet, redirect_uri: str, *, state: str, nonce: str, challenge: str
    ) -> str:
        """Return where a browser goes to log in (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

        `challenge` is the S256 challenge of a verifier. Raises `IssuerUnreachable` and its like.
        """

    async def redeem(self, code: Secret, verifier: Secret, redirect_uri: str) -> LoginOutcome:
        """Use an authorization code, once (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

        Raises `Unavailable` kinds for answers that say nothing about the login.
        """

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Return the claims of an ID token after checking signature, issuer, audience and times.

        OpenID Connect Core section 3.1.3.7. Raises `IssuerMisbehaved` if anything is off.
        """

    async def userinfo(self, access_token: Secret, *, seconds: float) -> Mapping[str, object]:
        """Return `sub`, `email` and `email_verified` as the issuer says them of a token's person.

        OpenID Connect Core section 5.3. Empty if it says nothing there; waits for `seconds` at the
        most. Raises `IssuerUnreachable` and its like.
        """

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        """Use a refresh token for the access token that `right` describes (RFC 6749 section 6).

        The answer is waited for `seconds` from the first byte on.
        Goes out on a connection opened for it. An error raised by `before_first_byte`, or before
        it, passes through and means that nothing was sent; so does `IssuerUnreachable` whenever it
        is raised. Otherwise the outcome is returned.
        """

    async def probe(self) -> None:
        """Return if the issuer is there and takes our client, without using anybody's grant.

        Keys are fetched and a made-up refresh token is posted, which a sound issuer refuses.
        Raises `IssuerUnreachable`, `IssuerFailed`, `ClientRejected`.
        """

    @property
    def exchanges(self) -> bool:
        """Whether narrower tokens are got by token exchange here."""

    async def exchange(self, subject_token: Secret, right: Right) -> Outcome:
        """Swap an access token for the one that `right` describes (RFC 8693 section 2).

        Uses nothing up, whatever comes of it: never `Unclear`. `Dead` means that the subject token
        is no longer taken. Raises `IssuerUnreachable` if there is no answer.
        """

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Check an access token's signature and read its claims. Raises `IssuerMisbehaved`."""

    async def revoke(self, refresh_token: Secret) -> None:
        """Have the issuer revoke a refresh token (RFC 7009).

        Raises `NoRevocation` if it offers no way, `IssuerUnreachable` if it does not answer.
        """


class LocalMint(Protocol):
    """Signs tokens for people here, where services trust our own key.

    A `proof` is the verified token that came with the last refresh at the person's own issuer.
    """

    @property
    def url(self) -> str:
        """The exact issuer string of the tokens."""

    def counts(self, grant: Grant, token: AccessToken) -> bool:
        """Return whether services are to take a token from here, which was signed for this grant.

        They are not if its key was withdrawn, or it was ended itself, as far as is known here.
        """

    def most(self, proof: AccessToken, asked: Asked, about: str | None = None) -> Right:
        """Return the most that may be signed for the proof's person at the audiences asked for.

        With `about` it is what they may have signed about a user of their own host.

        Without any it is for those that are theirs by name: never for none. Raises `ScopeRefused`
        and `AudienceRefused` if it is nothing.
        """

    async def mint(
        self, grant: Grant, right: Right, proof: AccessToken, about: str | None = None
    ) -> AccessToken:
        """Return a token about the grant's person, or a user of theirs.

        Raises as `most` does, and `Unavailable` kinds.
        """


class Bridge(Protocol):
    """Signs tokens for people while their own issuer is out."""

    async def token(self, grant: Grant, right: Right) -> AccessToken | None:
        """Return a token for this right, or None if nothing may be signed for the grant now.

        `grant` is as the store has it. Raises `Unavailable` kinds.
        """


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A request that shows a vault token which another server gave out.

    `address` is its path and query, percent-encoded as they came.
    """

    method: str
    address: str
    vault_token: Secret
    body: bytes = field(default=b"", repr=False)


class LegacyVault(Protocol):
    """The HTVault that served an issuer's people before this broker."""

    @property
    def url(self) -> str:
        """Its base address; two issuers that had the same one have the same HTVault."""

    async def ask(self, passed_on: PassedOn, *, seconds: float) -> HttpAnswer:
        """Return its answer to the request, sent unchanged. Raises `LegacyUnavailable`."""
