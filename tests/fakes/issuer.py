"""An issuer in memory that counts, waits, forgets to answer and breaks. Follows `ports.Issuer`.

What a refresh does to the refresh token is its `policy`, with the words and ways of the development
issuer; a value it never heard of is taken for a person's first. Tokens are plain values here; real
signatures are tested against the development issuer.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from credbroker.demo.issuer.logins import s256
from credbroker.demo.issuer.settings import RefreshPolicy
from credbroker.domain.attenuation import Right
from credbroker.domain.device import (
    DeviceStart,
    LoginOutcome,
    LoginOver,
    PollOutcome,
    StillPending,
)
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerUnreachable,
    LoginExpired,
    LoginNeeded,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Outcome, Renewed, Unclear
from credbroker.domain.rotation import Rule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken
from credbroker.ports import BeforeFirstByte, Clock

DEFAULT_AUDIENCE = "https://any.test/"
SECONDS = 30.0
"""How long every answer but a refresh's is waited for."""

_REVOKING = {RefreshPolicy.ROTATE_REVOKE_FAMILY, RefreshPolicy.GRACE}
_ISSUERS_OWN = (IssuerUnreachable, IssuerFailed, ClientRejected)

Widen = Callable[[AccessToken], AccessToken]


@dataclass(frozen=True)
class Issued:
    """What went out with one answer."""

    access_token: AccessToken
    successor: str


@dataclass(frozen=True)
class Spent:
    """What followed on a value that was used up, and when."""

    successor: str
    at: float


class FakeIssuer:
    """One issuer, its client the broker, and its people's refresh tokens."""

    def __init__(self, clock: Clock, *, rule: Rule | None = None, rotates: bool = True) -> None:
        """Issue tokens that live 1200 s by `clock`; `rule` is what an operator has set.

        If it rotates, a value posted twice revokes all that followed from it.
        """
        self._clock = clock
        self._count = itertools.count(1)
        self.url = "https://issuer.test/"
        self.client_id = "broker"
        self.rule = rule
        self.refresh_seconds = 120.0
        self.revoke_replaced = True
        self.exchanges = False
        self.exchanged: list[str] = []
        """The subject tokens of all exchanges, acted on or not."""
        self.at_exchange: Callable[[], Outcome | None] = lambda: None
        """What it answers to the next exchange; None goes by the subject token."""
        self.policy = RefreshPolicy.ROTATE_REVOKE_FAMILY if rotates else RefreshPolicy.REUSE
        self.grace_seconds = 60.0
        self.token_seconds = 1200.0
        self.connect_seconds = 0.0
        self.answer_seconds = 0.0
        self.acts_unheard = True
        """Whether it acts on a refresh that it does not answer in time."""
        self.standing: Outcome | None = None
        """What it answers to every refresh, whatever is posted; None goes by the policy."""
        self.down: CredbrokerError | None = None
        self.widen: Widen = lambda one: one
        self.is_stored: Callable[[str], bool] = lambda _: True
        self.says_of_people: Mapping[str, object] = {}
        self.asked_of_people = 0
        self.connections = 0
        self.probes = 0
        self.posts: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.revoked: list[str] = []
        self.issued: dict[str, Issued] = {}
        self._spent: dict[str, Spent] = {}
        self._first: dict[str, str] = {}
        self._revoked_firsts: set[str] = set()
        self._hole: asyncio.Event | None = None
        self._used: set[str] = set()
        self.redeemed: Counter[str] = Counter()
        self._codes: dict[str, tuple[str, str, Renewed | None]] = {}
        self._outcomes: deque[Outcome | Exception] = deque()
        self._polled: deque[PollOutcome | Exception] = deque()
        self._identities: dict[str, Mapping[str, object]] = {}

    @property
    def rotates(self) -> bool:
        """True if a refresh gives another value; setting it chooses the strictest policy."""
        return self.policy is not RefreshPolicy.REUSE

    @rotates.setter
    def rotates(self, rotates: bool) -> None:
        self.policy = RefreshPolicy.ROTATE_REVOKE_FAMILY if rotates else RefreshPolicy.REUSE

    def swallow(self) -> None:
        """Take every request from now on and answer none, until `mend`."""
        self._hole = self._hole or asyncio.Event()

    def mend(self) -> None:
        """Answer again, also who still waits."""
        if self._hole is not None:
            self._hole.set()
            self._hole = None

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

    async def check_there(self) -> None:
        """Be there unless it is down; see `ports.Issuer`."""
        if self.down is not None:
            raise self.down

    async def start_device_login(self, scopes: ScopeSet) -> DeviceStart:
        """Begin a device login; see `ports.Issuer`."""
        await self._must_answer()
        number = next(self._count)
        code = Secret("device code", f"device-{number}")
        page = "https://issuer.test/device"
        return DeviceStart(code, f"CODE-{number}", page, f"{page}?{number}", 600.0, 5.0)

    async def poll_device_login(self, device_code: Secret) -> PollOutcome:
        """Answer as the test set it, by default that nobody has confirmed; a used code is over."""
        self._raise_if_down()
        code = device_code.reveal()
        self.polls[code] += 1
        await self._must_answer()
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

    async def authorization_url(
        self, scopes: ScopeSet, redirect_uri: str, *, state: str, nonce: str, challenge: str
    ) -> str:
        """Return an address that says what was asked; see `ports.Issuer`."""
        await self._must_answer()
        query = {
            "scope": str(scopes),
            "redirect_uri": redirect_uri,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
        }
        return f"{self.url}authorize?{urlencode(query)}"

    def log_in(self, address: str, claims: Mapping[str, object]) -> str:
        """Log a person in where `authorization_url` led; return the code for the callback."""
        asked = dict(parse_qsl(urlsplit(address).query))
        answer = self.confirmed({"nonce": asked["nonce"], **claims})
        code = f"code-{next(self._count)}"
        self._codes[code] = (asked["code_challenge"], asked["redirect_uri"], answer)
        return code

    async def redeem(self, code: Secret, verifier: Secret, redirect_uri: str) -> LoginOutcome:
        """Take a code once, whoever shows it; see `ports.Issuer`."""
        self._raise_if_down()
        self.redeemed[code.reveal()] += 1
        await self._must_answer()
        challenge, address, answer = self._codes.pop(code.reveal(), ("", "", None))
        if self.answer_seconds:
            await self._clock.sleep(self.answer_seconds)
        if answer is None or redirect_uri != address or s256(verifier.reveal()) != challenge:
            return LoginOver(LoginExpired("The issuer does not accept this login."))
        return answer

    async def verify_identity(self, id_token: Secret) -> Mapping[str, object]:
        """Return the claims that `confirmed` was given; see `ports.Issuer`."""
        return self._identities[id_token.reveal()]

    async def userinfo(self, access_token: Secret, *, seconds: float) -> Mapping[str, object]:
        """Say what `says_of_people` holds; see `ports.Issuer`."""
        self._raise_if_down()
        self.asked_of_people += 1
        if not await self._answers(seconds, self.answer_seconds):
            raise IssuerUnreachable("The issuer does not answer.")
        return self.says_of_people

    async def refresh(
        self,
        refresh_token: Secret,
        right: Right,
        before_first_byte: BeforeFirstByte,
        *,
        seconds: float,
    ) -> Outcome:
        """Use a refresh token once; see `ports.Issuer`."""
        if self.connect_seconds:
            await self._clock.sleep(self.connect_seconds)
        self._raise_if_down()
        self.connections += 1
        await before_first_byte()
        value = refresh_token.reveal()
        self.posts[value] += 1
        if await self._answers(seconds, self.answer_seconds):
            return self._outcome(value, right)
        if self.acts_unheard:
            self._outcome(value, right)
        return Unclear(IssuerUnreachable("The issuer took a refresh and did not answer."))

    async def exchange(self, subject_token: Secret, right: Right) -> Outcome:
        """Give any right for a token that still lives, as the development issuer; see `ports.Issuer`."""
        value = subject_token.reveal()
        self.exchanged.append(value)
        await self._must_answer()
        if self.answer_seconds:
            await self._clock.sleep(self.answer_seconds)
        if (answer := self.at_exchange()) is not None:
            return answer
        issued = self.issued.get(value)
        if issued is None or issued.access_token.expires_at <= self._clock.now():
            return Dead(LoginNeeded("The issuer no longer takes this token."))
        token = self._issue(next(self._count), right, issued.successor)
        return Renewed(access_token=token.value, expires_in=self.token_seconds)

    async def probe(self) -> None:
        """Say whether it is there and takes our client; see `ports.Issuer`."""
        self.probes += 1
        await self._must_answer()
        if isinstance(self.standing, NotActedOn | Unclear):
            error = self.standing.error
            if isinstance(error, _ISSUERS_OWN):
                raise error

    async def verify_access_token(self, value: Secret) -> AccessToken:
        """Return the token's claims; whoever gets here must have stored its successor."""
        issued = self.issued.get(value.reveal())
        if issued is None:
            raise IssuerMisbehaved("The issuer's token is not signed by the issuer.")
        assert self.is_stored(issued.successor), "an access token is used before its successor"
        return issued.access_token.obtained(self._clock.now())

    async def revoke(self, refresh_token: Secret) -> None:
        """Take a refresh token back; see `ports.Issuer`."""
        await self._must_answer()
        value = refresh_token.reveal()
        self.revoked.append(value)
        self._revoked_firsts.add(self._first.get(value, value))

    def _outcome(self, value: str, right: Right) -> Outcome:
        if self._outcomes:
            outcome = self._outcomes.popleft()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if self.standing is not None:
            return self.standing
        first, spent = self._first.get(value, value), self._spent.get(value)
        if spent is not None and not self._in_grace(spent) and self.policy in _REVOKING:
            self._revoked_firsts.add(first)
        if first in self._revoked_firsts or (spent is not None and not self._in_grace(spent)):
            return Dead(LoginNeeded("The issuer no longer accepts this login."))
        return self._renewed(value, right)

    def _in_grace(self, spent: Spent) -> bool:
        """True while the successor is unused and the grace not over, as at the real ones."""
        in_time = self._clock.elapsed() < spent.at + self.grace_seconds
        unused = spent.successor not in self._spent
        return self.policy is RefreshPolicy.GRACE and in_time and unused

    def _renewed(self, value: str, right: Right) -> Renewed:
        number = next(self._count)
        successor = self._successor(value, f"refresh-{number}")
        token = self._issue(number, right, successor)
        return Renewed(
            access_token=token.value,
            refresh_token=Secret("refresh token", successor) if self.rotates else None,
            expires_in=self.token_seconds,
        )

    def _issue(self, number: int, right: Right, successor: str) -> AccessToken:
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
        self.issued[f"access-{number}"] = Issued(self.widen(token), successor)
        return token

    def _successor(self, value: str, new: str) -> str:
        """Return what stands for the value now; one used again within the grace has its own."""
        if not self.rotates:
            return value
        spent = self._spent.setdefault(value, Spent(new, self._clock.elapsed()))
        self._first[spent.successor] = self._first.get(value, value)
        return spent.successor

    async def _answers(self, seconds: float, takes: float = 0.0) -> bool:
        """Take the time that an answer takes, at most `seconds`; return whether one comes."""
        if self._hole is not None:
            hole = self._hole
            waits = {
                asyncio.ensure_future(hole.wait()),
                asyncio.ensure_future(self._clock.sleep(seconds)),
            }
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()
            return hole.is_set()
        if takes:
            await self._clock.sleep(min(takes, seconds))
        return takes <= seconds

    async def _must_answer(self) -> None:
        self._raise_if_down()
        if not await self._answers(SECONDS):
            raise IssuerUnreachable("The issuer does not answer.")

    def _raise_if_down(self) -> None:
        if self.down is not None:
            raise self.down
