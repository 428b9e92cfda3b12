"""Signs tokens for people, by what their own issuer vouches for and the rules make of that.

- What counts are the claims of a token that this issuer gave at the last refresh; of what it allows
  nothing is passed on. Who meets no rule has nothing signed.
- A token's `sub` is the person's there; the settings let one such issuer feed a community.
"""

from __future__ import annotations

from collections.abc import Callable

from credbroker.broker.issuing.signing import Signing, Statement
from credbroker.broker.issuing.trail import about_signed
from credbroker.broker.trail import names
from credbroker.domain.attenuation import Right
from credbroker.domain.grants import Grant
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked
from credbroker.domain.rights import Claims, Rights, by_default
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Audit


class People:
    """The mint of one community for people. Follows `ports.LocalMint`."""

    def __init__(
        self,
        signing: Signing,
        rights: Rights,
        lifetimes: LifetimeTable,
        audit: Audit,
        *,
        is_ended: Callable[[str, AccessToken], bool],
    ) -> None:
        """Sign with `signing` what `rights` give, for as long as `lifetimes` allow.

        `is_ended` tells of a client's id and its token if a mark ends that.
        """
        self._signing = signing
        self._is_ended = is_ended
        self._rights = rights
        self._lifetimes = lifetimes
        self._audit = audit

    @property
    def url(self) -> str:
        """The community's exact issuer string."""
        return self._signing.url

    def counts(self, grant: Grant, token: AccessToken) -> bool:
        """Return whether services are to take this token; see `ports.LocalMint`."""
        return self._signing.counts(token) and not self._is_ended(grant.client_id, token)

    def most(self, proof: AccessToken, asked: Asked, about: str | None = None) -> Right:
        """Return the most that may be signed; see `ports.LocalMint`.

        Groups come beside capabilities only for who asks for scopes by name.
        """
        most = self._rights_about(about).most(claims_of(proof), asked.audiences)
        return by_default(most) if asked.scopes is None else most

    async def mint(
        self, grant: Grant, right: Right, proof: AccessToken, about: str | None = None
    ) -> AccessToken:
        """Return a new token about the grant's person, or a user of theirs; see `ports.LocalMint`."""
        rights = self._rights_about(about)
        decision = rights.decide(claims_of(proof), right, self._lifetimes)
        statement = Statement(
            about or grant.subject,
            grant.client_id,
            decision.right.scopes,
            decision.right.audiences,
            decision.seconds,
            decision.groups,
            actor={"sub": grant.subject} if about else None,
        )
        token = await self._signing.sign(statement)
        await self._audit.record(
            "sign",
            **about_signed(token, grant.client_id, self._signing.community),
            **names(grant.key),
            by="local_users" if about else "rights",
            subject_jti=proof.jti,
        )
        return token

    def _rights_about(self, user: str | None) -> Rights:
        return self._rights if user is None else self._rights.about(user)


def claims_of(proof: AccessToken) -> Claims:
    """Return what an issuer's verified token says of its person."""
    return Claims(proof.subject, proof.groups, proof.entitlements)
