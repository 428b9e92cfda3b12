"""An issuer and an audit trail that do the least that is right, and count."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from typing import TYPE_CHECKING

from credbroker.domain.outcomes import Outcome, Renewed
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credbroker.domain.attenuation import Right
    from credbroker.domain.device import DeviceStart, LoginOutcome, PollOutcome
    from credbroker.domain.scopes import ScopeSet
    from credbroker.ports import BeforeFirstByte, Clock

URL = "https://issuer.example.org/"
CLIENT_ID = "credbroker"
SUBJECT = "somebody"
AUDIENCE = "https://se.example.org"


class CountingIssuer:
    """Rotates on every refresh and answers at once. Follows `ports.Issuer`.

    Attribute `requests` counts refreshes by the minute of `clock` in which they came.
    """

    url = URL
    client_id = CLIENT_ID
    rule = None
    refresh_seconds = 120.0
    revoke_replaced = True
    exchanges = False

    def __init__(self, clock: Clock, *, token_seconds: float, grant_seconds: float) -> None:
        """Give access tokens and refresh tokens that live so long."""
        self.clock = clock
        self._token_seconds = token_seconds
        self._grant_seconds = grant_seconds
        self._numbers = itertools.count(1)
        self._unread: dict[str, Right] = {}
        self.requests: Counter[int] = Counter()

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        """Give the next value; see `ports.Issuer`."""
        await before_first_byte()
        self.requests[int(self.clock.elapsed() // 60)] += 1
        return await self.outcome(refresh_token, right, seconds)

    async def outcome(self, _refresh_token: Secret, right: Right, _seconds: float) -> Outcome:
        """Return what comes of a post within so many seconds; others answer otherwise here."""
        number = next(self._numbers)
        self._unread[f"access-{number}"] = right
        return Renewed(
            access_token=Secret("access token", f"access-{number}"),
            refresh_token=Secret("refresh token", f"refresh-{number}-of-forty-three-characters-x"),
            expires_in=self._token_seconds,
            refresh_expires_in=self._grant_seconds,
        )

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Read a token that was given and not read yet; see `ports.Issuer`."""
        right, now = self._unread.pop(value.reveal()), self.clock.now()
        return AccessToken(
            value=value,
            issuer_url=self.url,
            subject=SUBJECT,
            scopes=right.scopes,
            audiences=right.audiences or (AUDIENCE,),
            groups=(),
            version="1.0",
            jti=value.fingerprint(),
            key_id="key-1",
            issued_at=now,
            not_before=now,
            expires_at=now + datetime.timedelta(seconds=self._token_seconds),
            obtained_at=now,
        )

    async def probe(self) -> None:
        """Be there."""

    async def check_there(self) -> None:
        """Be there."""

    async def revoke(self, refresh_token: Secret) -> None:
        """Take a value back; nothing here ever asks for it again."""

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Refuse: nobody logs in here."""
        raise AssertionError(scopes)

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Refuse: nobody logs in here."""
        raise AssertionError(device_code)

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Refuse: nobody logs in here."""
        raise AssertionError(id_token)

    async def userinfo(self, access_token: Secret, *, seconds: float) -> Mapping[str, object]:
        """Refuse: nobody logs in here."""
        raise AssertionError(seconds)

    async def authorization_url(
        self, scopes: ScopeSet, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        """Refuse: nobody logs in here."""
        raise AssertionError(scopes)

    async def redeem(self, code: Secret, verifier: Secret, redirect_uri: str) -> LoginOutcome:
        """Refuse: nobody logs in here."""
        raise AssertionError(redirect_uri)

    async def exchange(self, subject_token: Secret, right: Right) -> Outcome:
        """Refuse: nobody is told that this is offered."""
        raise AssertionError(right)


class NoTrail:
    """Takes every line and keeps none. Follows `ports.Audit`."""

    async def record(self, event: str, /, **fields: object) -> None:
        """Let it go."""

    async def record_all(
        self, event: str, lines: Sequence[Mapping[str, object]], /, **common: object
    ) -> None:
        """Let them go."""
