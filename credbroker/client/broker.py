"""The broker's native API as methods, for programs that run without an event loop.

An access token is read and held against the request before anybody gets it. Times are judged by
the broker's clock, which comes with every answer, so a machine whose own clock is off still gets
its tokens.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from credbroker import __version__
from credbroker.client.http11 import Answer, Request
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import BrokerUnreachable, IssuerMisbehaved, Malformed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken, check_times, serves
from credbroker.wire import native
from credbroker.wire.jwt import read_access_token
from credbroker.wire.problem import read_problem

if TYPE_CHECKING:
    from credbroker.client.blocking import BlockingClock
    from credbroker.domain.secret import Secret
    from credbroker.ports import Entropy

Send = Callable[[Request], Answer]
"""Sends one request and returns its answer; `client.blocking.Door.send` is the real one."""

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched:
    """An access token that passed its checks, with the broker's answer it came in."""

    given: native.TokenGiven
    token: AccessToken
    """`obtained_at` is by the broker's clock, so lifetimes do not depend on this machine's."""


class Broker:
    """One broker, asked under one lease; without a lease only logins and issuers can be asked for."""

    def __init__(
        self,
        send: Send,
        clock: BlockingClock,
        entropy: Entropy,
        lease_token: Optional[Secret] = None,
    ) -> None:
        """Join the parts; `cli.desk` and `edge.job.keeping` show how."""
        self._send = send
        self._clock = clock
        self._entropy = entropy
        self._lease_token = lease_token
        self._ahead = datetime.timedelta(0)

    def under(self, lease_token: Secret) -> Broker:
        """Return the same broker, asked under another lease."""
        return Broker(self._send, self._clock, self._entropy, lease_token)

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock, as far as its last answer told it."""
        return self._clock.now() + self._ahead

    def issuers(self) -> native.IssuersOffered:
        """Return which issuers and roles one can log in with."""
        return self._ask("GET", native.ISSUERS, native.IssuersOffered.read)

    def start_login(self, wanted: native.StartLogin) -> native.LoginStarted:
        """Begin a device login; its `login_token` polls and becomes the lease."""
        return self._ask("POST", native.LOGINS, native.LoginStarted.read, wanted.write())

    def poll_login(self) -> native.LoginState:
        """Ask once whether the login is done. Raises `LoginDenied`, `LoginExpired`."""
        return self._ask("POST", native.LOGIN_POLL, native.LoginState.read)

    def ask_token(self, wanted: native.AskToken) -> Fetched:
        """Return an access token that serves what is asked for.

        Raises:
            IssuerMisbehaved: The token that came is malformed, out of its time, or does not serve
                what was asked for; nobody else has seen it.
        """
        given = self._ask("POST", native.TOKENS, native.TokenGiven.read, wanted.write())
        return Fetched(given, self._checked(given, wanted))

    def ask_lease(self, wanted: native.AskLease) -> native.LeaseGiven:
        """Make a job's narrow lease under this one."""
        return self._ask("POST", native.LEASES, native.LeaseGiven.read, wanted.write())

    def lease_status(self) -> native.LeaseStatus:
        """Return how this lease and the grant behind it stand."""
        return self._ask("GET", native.LEASE_SELF, native.LeaseStatus.read)

    def end_lease(self) -> None:
        """End this lease and every lease made from it."""
        self._ask("DELETE", native.LEASE_SELF, lambda _: None)

    def log_out(self) -> native.LoggedOut:
        """Revoke the person's grant at the issuer and end all its leases."""
        return self._ask("DELETE", native.GRANT_SELF, native.LoggedOut.read)

    def _ask(self, method: str, target: str, read: Callable[[bytes], T], body: bytes = b"") -> T:
        answer = self._send(Request(method, target, self._headers(), body))
        self._learn_time(answer.headers.get("date", ""))
        if not 200 <= answer.status < 300:
            raise read_problem(answer.status, answer.body)
        try:
            return read(answer.body)
        except Malformed as unread:
            raise BrokerUnreachable(
                f"Something other than a broker answered, or one of another version:"
                f" {unread.sentence}"
            ) from None

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"credbroker/{__version__}",
            "X-Request-Id": self._entropy.token(16),
        }
        if self._lease_token is not None:
            headers["Authorization"] = f"Bearer {self._lease_token.reveal()}"
        return headers

    def _learn_time(self, date: str) -> None:
        try:
            # RFC 9110 section 5.6.7: the one form of date that is still written.
            told = datetime.datetime.strptime(date + "+0000", "%a, %d %b %Y %H:%M:%S GMT%z")
        except ValueError:
            return  # no date, or a strange one: keep what is known
        self._ahead = told - self._clock.now()

    def _checked(self, given: native.TokenGiven, wanted: native.AskToken) -> AccessToken:
        asked = Right(ScopeSet.of(wanted.scopes or ()).rights(), tuple(wanted.audiences or ()))
        now = self.now()
        try:
            token = read_access_token(given.access_token, now)
        except Malformed as unread:
            raise IssuerMisbehaved(
                f"The token that came cannot be used. {unread.sentence}"
            ) from None
        check_times(token, now)
        if token.issuer_url != given.issuer_url or token.jti != given.jti:
            raise IssuerMisbehaved("The token that came is not the one the broker announced.")
        if not serves(token, asked):
            raise IssuerMisbehaved("The token that came does not serve what was asked for.")
        return token
