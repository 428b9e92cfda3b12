"""An issuer in memory that counts, waits, forgets to answer and breaks. Follows `ports.Issuer`.

It rotates on every refresh, unless told not to, and takes a value posted twice as a replay. Tokens
are plain values here; real signatures are tested against the development issuer.
"""

from __future__ import annotations

import datetime
import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from credbroker.domain.attenuation import Right
from credbroker.domain.device import DeviceStart, LoginOver, PollOutcome, StillPending
from credbroker.domain.errors import CredbrokerError, IssuerMisbehaved, LoginExpired, LoginNeeded
from credbroker.domain.rotation import Dead, Outcome, Renewed, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.ports import BeforeFirstByte, Clock

DEFAULT_AUDIENCE = "https://any.test/"

Widen = Callable[[AccessToken], AccessToken]


@dataclass(frozen=True)
class Issued:
    """What went out with one answer."""

    access_token: AccessToken
    successor: str


class FakeIssuer:
    """One issuer, its client the broker, and its people's refresh tokens."""

    def __init__(
        self, clock: Clock, *, rule: UnclearRule = UnclearRule.ASK, rotates: bool = True
    ) -> None:
        """Issue tokens that live 1200 s by `clock`; `rule` is what the broker has on record."""
        self._clock = clock
        self._count = itertools.count(1)
        self.url = "https://issuer.test/"
        self.client_id = "broker"
        self.unclear_rule = rule
        self.claim_seconds = 60.0
        self.rotates = rotates
        self.token_seconds = 1200.0
        self.connect_seconds = 0.0
        self.answer_seconds = 0.0
        self.down: CredbrokerError | None = None
        self.widen: Widen = lambda one: one
        self.is_stored: Callable[[str], bool] = lambda _: True
        self.connections = 0
        self.posts: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.revoked: list[str] = []
        self.issued: dict[str, Issued] = {}
        self._spent: set[str] = set()
        self._used: set[str] = set()
        self._outcomes: deque[Outcome | Exception] = deque()
        self._polled: deque[PollOutcome | Exception] = deque()
        self._identities: dict[str, Mapping[str, object]] = {}

    def answer_next(self, *outcomes: Outcome | Exception) -> None:
        """Answer the next posts with these; an exception is raised after the post went out."""
        self._outcomes.extend(outcomes)

    def poll_next(self, *outcomes: PollOutcome | Exception) -> None:
        """Answer the next polls of a login with these."""
        self._polled.extend(outcomes)

    def confirmed(self, claims: Mapping[str, object], scopes: ScopeSet | None = None) -> Renewed:
        """Return the answer to a login that the person with these claims has confirmed."""
        number = next(self._count)
        self._identities[f"identity-{number}"] = claims
        return Renewed(
            access_token=Secret("access token", f"access-{number}"),
            refresh_token=Secret("refresh token", f"refresh-{number}"),
            id_token=Secret("ID token", f"identity-{number}"),
            scopes=scopes,
            expires_in=self.token_seconds,
            refresh_expires_in=86400.0,
        )

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login; see `ports.Issuer`."""
        self._raise_if_down()
        number = next(self._count)
        code = Secret("device code", f"device-{number}")
        page = "https://issuer.test/device"
        return DeviceStart(code, f"CODE-{number}", page, f"{page}?{number}", 600.0, 5.0)

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Answer as the test set it, by default that nobody has confirmed; a used code is over."""
        self._raise_if_down()
        code = device_code.reveal()
        self.polls[code] += 1
        outcome: PollOutcome | Exception = StillPending()
        if code in self._used:
            outcome = LoginOver(LoginExpired("This device code was used."))
        elif self._polled:
            outcome = self._polled.popleft()
        if isinstance(outcome, Renewed):
            self._used.add(code)
        if self.answer_seconds:
            await self._clock.sleep(self.answer_seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Return the claims that `confirmed` was given; see `ports.Issuer`."""
        return self._identities[id_token.reveal()]

    async def refresh(
        self, refresh_token: Secret, right: Right, before_first_byte: BeforeFirstByte
    ) -> Outcome:
        """Use a refresh token once; see `ports.Issuer`."""
        if self.connect_seconds:
            await self._clock.sleep(self.connect_seconds)
        self._raise_if_down()
        self.connections += 1
        await before_first_byte()
        value = refresh_token.reveal()
        self.posts[value] += 1
        if self.answer_seconds:
            await self._clock.sleep(self.answer_seconds)
        if self._outcomes:
            outcome = self._outcomes.popleft()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if value in self.revoked or value in self._spent:
            return Dead(LoginNeeded("The issuer no longer accepts this login."))
        return self._renewed(value, right)

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Return the token's claims; whoever gets here must have stored its successor."""
        issued = self.issued.get(value.reveal())
        if issued is None:
            raise IssuerMisbehaved("The issuer's token is not signed by the issuer.")
        assert self.is_stored(issued.successor), "an access token is used before its successor"
        return issued.access_token.obtained(self._clock.now())

    async def revoke(self, refresh_token: Secret) -> None:
        """Take a refresh token back; see `ports.Issuer`."""
        self._raise_if_down()
        self.revoked.append(refresh_token.reveal())

    def _renewed(self, value: str, right: Right) -> Renewed:
        number = next(self._count)
        now = self._clock.now()
        token = AccessToken(
            value=Secret("access token", f"access-{number}"),
            issuer_url=self.url,
            subject="sub-ada",
            scopes=right.scopes,
            audiences=right.audiences or (DEFAULT_AUDIENCE,),
            groups=(),
            version="1.0",
            jti=f"jti-{number}",
            key_id="key-1",
            issued_at=now,
            not_before=now,
            expires_at=now + datetime.timedelta(seconds=self.token_seconds),
            obtained_at=now,
        )
        successor = value
        if self.rotates:
            self._spent.add(value)
            successor = f"refresh-{number}"
        self.issued[f"access-{number}"] = Issued(self.widen(token), successor)
        return Renewed(
            access_token=token.value,
            refresh_token=Secret("refresh token", successor) if self.rotates else None,
            expires_in=self.token_seconds,
        )

    def _raise_if_down(self) -> None:
        if self.down is not None:
            raise self.down
