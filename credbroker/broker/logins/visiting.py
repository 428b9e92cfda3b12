"""Lets people in who want to see what is held in their name: a login at the issuer, without a grant.

- The issuer is asked for nothing but who it is; a refresh token that it gives all the same is revoked.
- The browser that began is the only one that can finish: the state is sealed in its cookie. Verifier
  and nonce follow from the state by the seal, so that any replica can finish. Nothing is stored.
- A visit is over after 15 minutes, and as soon as what its person had before it is revoked.
"""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from credbroker.broker.containing import Containing
from credbroker.broker.leasing import Origin
from credbroker.broker.logins.taking_in import TakingIn
from credbroker.broker.running import Means
from credbroker.domain import confirming
from credbroker.domain.confirming import CameBack
from credbroker.domain.device import LoginOver
from credbroker.domain.errors import (
    CredbrokerError,
    IssuerMisbehaved,
    LeaseEnded,
    LoginDenied,
    LoginExpired,
    Malformed,
    NotAllowed,
    NotFound,
)
from credbroker.domain.names import GrantKey
from credbroker.domain.outcomes import Renewed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.ports import LoginSeal
from credbroker.wire.visits import BegunVisit, Visitor

VISIT_SECONDS = 900.0
BEGUN_SECONDS = 600.0
PAGE_SECONDS = 45.0

_WHO = ScopeSet.parse("openid")
_STATE = "mine-"
_AGAIN = "Open the page again, and log in once more."
_BEGUN, _LET_IN = "visit begun", "visitor"


@dataclass(frozen=True, slots=True)
class SentOn:
    """Where a browser goes, with a cookie without which it need not come back, good for `seconds`."""

    go_to: str
    state: str
    cookie: str
    seconds: int


class Visiting:
    """All visits, as this process sees them."""

    def __init__(
        self,
        taking_in: TakingIn,
        means: Means,
        *,
        seal: LoginSeal,
        back_to: Callable[[str], str],
        issuers: Sequence[str],
        containing: Containing,
    ) -> None:
        """Have people of these `issuers` come back to what `back_to` says is registered there.

        `containing` knows the revocations that end visits.
        """
        self._taking_in = taking_in
        self._audit = means.audit
        self._clock = means.clock
        self._deeds = means.deeds
        self._entropy = means.entropy
        self._seal = seal
        self._back_to = back_to
        self.issuers = tuple(issuers)
        self._containing = containing

    async def begin(self, issuer: str) -> SentOn:
        """Begin a visit. Raises `NotFound` for another issuer, `Unavailable` kinds."""
        if issuer not in self.issuers:
            raise NotFound(
                "Nobody of this issuer can log in to this page.", "Use the commands instead."
            )
        state = _STATE + self._entropy.token(16)
        go_to = await self._taking_in.issuer(issuer).authorization_url(
            _WHO,
            self._back_to(issuer),
            state=state,
            nonce=self._nonce(state),
            challenge=confirming.challenge(self._verifier(state)),
        )
        begun = BegunVisit(state, issuer, self._clock.now())
        cookie = self._seal.seal(_BEGUN, begun.write())
        return SentOn(go_to, state, cookie, int(BEGUN_SECONDS))

    def is_visit(self, state: str) -> bool:
        """True if the issuer's answer with this state belongs to a visit, and not to a login."""
        return state.startswith(_STATE)

    async def returned(self, answer: CameBack, cookie: str, origin: Origin) -> str:
        """Take the issuer's answer from the browser that began; return what lets it in, sealed.

        Raises `NotAllowed`, `LoginDenied`, `LoginExpired`, `IssuerMisbehaved`, and `Busy` while it
        goes on.
        """
        try:
            begun = self._begun_by(answer.state, cookie)
            confirming.check_sender(answer, begun.issuer, self._taking_in.issuer(begun.issuer).url)
            if answer.code is None:
                raise LoginDenied("The login was refused at the issuer.", _AGAIN)
            task = self._deeds.begin(self._visitor(begun, answer.code), "let a visitor in")
            visitor = await self._deeds.result(task, PAGE_SECONDS)
            self._check_not_revoked(visitor)
        except CredbrokerError as error:
            await self._note("visit_refused", origin, error=error.code, why=error.sentence)
            raise
        await self._note(
            "visit",
            origin,
            visit=visitor.visit,
            issuer=visitor.issuer,
            credkey=visitor.credkey,
            sub=visitor.subject,
        )
        return self._seal.seal(_LET_IN, visitor.write())

    def visitor(self, sealed: str) -> Visitor | None:
        """Return whom `returned` let in, or None if nobody was, or the visit is over."""
        try:
            visitor = Visitor.read(self._seal.open(_LET_IN, sealed))
            self._check_not_revoked(visitor)
        except (Malformed, LeaseEnded):
            return None
        in_time = self._seconds_since(visitor.since) < VISIT_SECONDS
        return visitor if in_time and visitor.issuer in self.issuers else None

    def _begun_by(self, state: str, cookie: str) -> BegunVisit:
        try:
            begun = BegunVisit.read(self._seal.open(_BEGUN, cookie))
        except Malformed:
            begun = None
        if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise NotAllowed("This is not the browser in which the login began.", _AGAIN)
        if self._seconds_since(begun.begun_at) >= BEGUN_SECONDS:
            raise LoginExpired("Nobody logged in in time.", _AGAIN)
        return begun

    async def _visitor(self, begun: BegunVisit, code: Secret) -> Visitor:
        issuer, state = self._taking_in.issuer(begun.issuer), begun.state
        outcome = await issuer.redeem(code, self._verifier(state), self._back_to(begun.issuer))
        if isinstance(outcome, LoginOver):
            raise LoginDenied(outcome.error.sentence, _AGAIN)
        await self._let_go(begun.issuer, outcome)
        if outcome.id_token is None:
            raise IssuerMisbehaved(
                "The issuer gave no ID token.",
                "The operator must allow the broker's client openid.",
            )
        subject, credkey = await self._taking_in.who(
            begun.issuer, outcome.id_token, self._nonce(state)
        )
        # As of a login: a revocation from a moment ago does not end what begins after it.
        since = self._containing.moment(_place(begun.issuer, credkey), self._clock.now())
        visit = self._entropy.token(16)
        return Visitor(visit, begun.issuer, issuer.url, subject, credkey, since)

    async def _let_go(self, issuer: str, outcome: Renewed) -> None:
        # Where logins are tied together, revoking this one would end the person's grants.
        if outcome.refresh_token is not None and self._taking_in.issuer(issuer).revoke_replaced:
            await self._taking_in.revoke(issuer, outcome.refresh_token)

    def _check_not_revoked(self, visitor: Visitor) -> None:
        self._containing.judge_proof(_place(visitor.issuer, visitor.credkey), visitor.since)

    def _seconds_since(self, at: datetime.datetime) -> float:
        return (self._clock.now() - at).total_seconds()

    async def _note(self, event: str, origin: Origin, **more: object) -> None:
        await self._audit.record(
            event, request_id=origin.request_id, address=origin.address, **more
        )

    def _verifier(self, state: str) -> Secret:
        return self._seal.secret("PKCE verifier", state)

    def _nonce(self, state: str) -> str:
        return self._seal.secret("OIDC nonce", state).digest()


def _place(issuer: str, credkey: str) -> GrantKey:
    return GrantKey(issuer, credkey, "")
