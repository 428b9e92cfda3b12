"""A mint of our own in memory. Follows `ports.LocalMint`."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable

from credbroker.domain.attenuation import Right
from credbroker.domain.grants import Grant
from credbroker.domain.policy import Asked
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Clock


class FakeMint:
    """Mints tokens that live 600 s by the clock; `widen` changes each before it is handed out."""

    def __init__(self, clock: Clock) -> None:
        """Mint by `clock`."""
        self._clock = clock
        self._count = itertools.count(1)
        self.url = "https://broker.test/"
        self.widen: Callable[[AccessToken], AccessToken] = lambda one: one

    def counts(self, grant: Grant, token: AccessToken) -> bool:
        """Nothing ever ends before its time; see `ports.LocalMint`."""
        return True

    def most(self, proof: AccessToken, asked: Asked, about: str | None = None) -> Right:
        """Return what the proof itself allows; see `ports.LocalMint`."""
        return Right(proof.scopes, asked.audiences or proof.audiences)

    async def mint(
        self, grant: Grant, right: Right, proof: AccessToken, about: str | None = None
    ) -> AccessToken:
        """Return a token about the grant's person; see `ports.LocalMint`."""
        number, now = next(self._count), self._clock.now()
        return self.widen(
            AccessToken(
                value=Secret("access token", f"minted-{number}"),
                issuer_url=self.url,
                subject=about or grant.subject,
                scopes=right.scopes,
                audiences=right.audiences,
                groups=(),
                version="1.0",
                jti=f"minted-{number}",
                key_id="own-1",
                issued_at=now,
                not_before=now,
                expires_at=now + datetime.timedelta(seconds=600),
                obtained_at=now,
            )
        )
