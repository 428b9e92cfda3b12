"""Takes what an issuer gave for a login into custody: makes the grant, and puts it in its place.

Whichever way somebody logged in ends here. The person is who the ID token says; what the issuer adds
beyond the role is not used; a refresh token that finds no place is revoked rather than left behind.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from credbroker.broker.containing import Containing
from credbroker.broker.logins.addresses import address_of
from credbroker.broker.running import Means, served
from credbroker.broker.storing import put_surely
from credbroker.domain.confirming import check_not_ended
from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved, NotFound
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.names import GrantKey, check_credkey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.rotation import succeed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import Issuer, RecordStore, StaleVersionError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How people log in at one issuer: the claim that names them, and scopes by role, default first.

    Whether a person's mail address is kept is said by `keeps_mail`.
    """

    issuer: Issuer
    credkey_claim: str
    roles: Mapping[str, ScopeSet]
    keeps_mail: bool = False


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What a login is for; `login` is its id, by which a write whose answer got lost is known."""

    login: str
    issuer: str
    role: str
    scopes: ScopeSet


class TakingIn:
    """All grants that logins bring to this process."""

    def __init__(
        self,
        grants: RecordStore[Grant],
        enrolments: Mapping[str, Enrolment],
        means: Means,
        *,
        containing: Containing,
        noted: Callable[[Grant], None],
    ) -> None:
        """Take into `grants`; `noted` is told of each record stored.

        When somebody logged in is said so that `containing` judges it rightly.
        """
        self._grants = grants
        self._enrolments = enrolments
        self._clock = means.clock
        self._entropy = means.entropy
        self._deeds = means.deeds
        self._containing = containing
        self._noted = noted

    def issuer(self, name: str) -> Issuer:
        """Return a login's issuer. Raises `NotFound` if it is not served any more."""
        return served(self._enrolments, name).issuer

    def role(self, issuer: str, role: str | None) -> tuple[str, ScopeSet]:
        """Return the name and the scopes of a role, the default one for None. Raises `NotFound`."""
        enrolment = self._enrolments.get(issuer)
        if enrolment is None:
            raise NotFound(f"No issuer named {issuer[:64]!r} is served here.")
        name = role if role is not None else next(iter(enrolment.roles))
        if name not in enrolment.roles:
            raise NotFound(f"The issuer {issuer!r} has no role {name[:64]!r} here.")
        return name, enrolment.roles[name]

    async def grant(self, asked: AskedFor, answer: Renewed, *, nonce: str | None = None) -> Grant:
        """Make the grant from an issuer's answer, whose ID token is checked first.

        With a `nonce` the ID token must repeat it (OpenID Connect Core section 3.1.3.7). Raises
        `IssuerMisbehaved` if anything is missing or off.
        """
        issuer = self.issuer(asked.issuer)
        if answer.refresh_token is None or answer.id_token is None:
            raise IssuerMisbehaved(
                "The issuer gave no refresh token or no ID token.",
                "The operator must allow the broker's client offline_access and openid.",
            )
        claims = await self._claims(asked.issuer, answer.id_token, nonce)
        subject, credkey = self._named(asked.issuer, claims)
        now, key = self._clock.now(), GrantKey(asked.issuer, credkey, asked.role)
        granted = answer.scopes if answer.scopes is not None else asked.scopes
        keeps_mail = self._enrolments[asked.issuer].keeps_mail
        mail = await address_of(issuer, claims, answer, granted) if keeps_mail else ""
        return Grant(
            key=key,
            line=self._entropy.token(16),
            issuer_url=issuer.url,
            subject=subject,
            client_id=issuer.client_id,
            # Whatever the issuer adds beyond the role is not used.
            scopes=ScopeSet(tuple(one for one in granted if asked.scopes.covers_item(one))),
            refresh_token=answer.refresh_token,
            generation=1,
            state=GrantState.READY,
            write_id=self._entropy.token(16),
            created_at=self._containing.moment(key, now),
            refreshed_at=now,
            login_id=asked.login,
            used_at=now,
            refresh_expires_at=_after(now, answer.refresh_expires_in),
            tokens_until=_after(now, answer.expires_in),
            mail=mail,
        )

    async def who(self, issuer: str, id_token: Secret, nonce: str | None) -> tuple[str, str]:
        """Return the `sub` and the credkey of the person whom an ID token names, once it is checked.

        A `nonce` must be repeated in it. Raises `IssuerMisbehaved`, and `Malformed` for a credkey
        that is none.
        """
        return self._named(issuer, await self._claims(issuer, id_token, nonce))

    async def _claims(
        self, issuer: str, id_token: Secret, nonce: str | None
    ) -> Mapping[str, object]:
        claims = await self.issuer(issuer).verify_identity(id_token)
        if nonce is not None and claims.get("nonce") != nonce:
            raise IssuerMisbehaved("The issuer's ID token belongs to another login.")
        return claims

    def _named(self, issuer: str, claims: Mapping[str, object]) -> tuple[str, str]:
        subject = claims.get("sub")
        credkey = claims.get(self._enrolments[issuer].credkey_claim)
        if not isinstance(subject, str) or not isinstance(credkey, str) or not subject:
            raise IssuerMisbehaved("The issuer's ID token does not say who logged in.")
        return subject, check_credkey(credkey)

    async def keep(self, grant: Grant) -> tuple[Grant, Secret | None]:
        """Store the grant in its place, as the next generation of what is there.

        Returns it, and the refresh token that it replaced, if there was one. A write whose answer
        got lost is known by its login, even if the grant was refreshed since. Raises `LoginDenied`
        if the place is another person's, or a logout has ended the grant's line meanwhile.
        """
        segment = grant.key.segment()
        replaced: Secret | None = None
        while True:
            stored = await self._grants.get(segment)
            kept, version = grant, 0
            if stored is not None:
                if stored.value.login_id == grant.login_id:
                    return stored.value, replaced
                check_not_ended(grant, stored.value)
                kept, version = succeed(stored.value, grant), stored.version
                replaced = stored.value.refresh_token
            try:
                await put_surely(
                    self._grants, segment, kept, version,
                    is_ours=lambda found: found.write_id == grant.write_id,
                )  # fmt: skip
            except StaleVersionError:
                continue  # somebody else wrote: look again
            self._noted(kept)
            if stored is not None:
                self._deeds.begin(self._containing.changing(segment), "tell of a new login")
            return kept, replaced

    def let_go_of_replaced(self, issuer: str, replaced: Secret | None) -> None:
        """Have revoked what a login replaced, unless that would end the new login as well."""
        if replaced is not None and self.issuer(issuer).revoke_replaced:
            self._deeds.begin(self.revoke(issuer, replaced), "revoke what a login replaced")

    async def revoke(self, issuer: str, refresh_token: Secret) -> None:
        """Have a refresh token revoked that nobody keeps; an issuer that does not answer is logged."""
        try:
            await self.issuer(issuer).revoke(refresh_token)
        except CredbrokerError as error:
            log.error("refresh_token_not_revoked", why=error.sentence)  # noqa: TRY400


def _after(now: datetime.datetime, seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else now + datetime.timedelta(seconds=seconds)
