"""The broker's native API as methods, for programs that run without an event loop.

An access token is read and held against the request before anybody gets it. Times are judged by
the broker's clock, which comes with every answer, so a machine whose own clock is off still gets
its tokens.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional, Protocol, TypeVar, Union

from credbroker import __version__
from credbroker.client.http11 import Answer, Request
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import BrokerUnreachable, IssuerMisbehaved, Malformed
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import AccessToken, allows_more, check_times, serves
from credbroker.wire import asking
from credbroker.wire.jwt import read_access_token

if TYPE_CHECKING:
    from credbroker.client.blocking import BlockingClock
    from credbroker.domain.secret import Secret
    from credbroker.ports import Entropy
    from credbroker.wire import choosing, deliveries, native

# What few programs ask for is loaded where it is: most ask for a token, and do so quickly.

Send = Callable[[Request], Answer]
"""Sends one request and returns its answer; `client.blocking.Door.send` is the real one."""

T = TypeVar("T")


class WallClock(Protocol):
    """What is needed of time here."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""


_DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
# RFC 9110 section 5.6.7: the one form of date that is still written. strptime loads a whole locale.
_DATE = re.compile(
    r"[A-Z][a-z]{2}, (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4})"
    r" (\d\d):(\d\d):(\d\d) GMT\Z",
    re.ASCII,
)
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


@dataclass(frozen=True)
class Fetched:
    """An access token that passed its checks, with the broker's answer it came in."""

    given: asking.TokenGiven
    token: AccessToken
    """`obtained_at` is by the broker's clock, so lifetimes do not depend on this machine's."""


def request_headers(entropy: Entropy, shown: Optional[Secret] = None) -> dict[str, str]:
    """Return the headers of a request to the native API that shows a lease token or its like."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"credbroker/{__version__}",
        "X-Request-Id": entropy.token(16),
    }
    if shown is not None:
        headers["Authorization"] = f"Bearer {shown.reveal()}"
    return headers


def delivery_target(template: str, named: str) -> str:
    """Return where one delivery is reached; raise `Malformed` for what can be no id of one."""
    if not _DELIVERY_ID.match(named):
        raise Malformed(
            "That is not the id of an order.", "See the ids with: credbroker deliver list"
        )
    return template.format(id=named)


def read_answer(answer: Answer, read: Callable[[bytes], T]) -> T:
    """Return what an answer of the native API says; raise the broker's error if it says one."""
    if not 200 <= answer.status < 300:
        from credbroker.wire.problem import read_problem

        raise read_problem(answer.status, answer.body)
    try:
        return read(answer.body)
    except Malformed as unread:
        raise BrokerUnreachable(
            f"Something other than a broker answered, or one of another version: {unread.sentence}"
        ) from None


def told_at(answer: Answer) -> Optional[datetime.datetime]:
    """Return the server's own time, from the Date of its answer (RFC 9110 section 6.6.1)."""
    date = _DATE.match(answer.headers.get("date", ""))
    if date is None:
        return None
    day, month, year, hour, minute, second = date.groups()
    number = _MONTHS.index(month) // 3 + 1
    try:
        return datetime.datetime(
            int(year), number, int(day), int(hour), int(minute), int(second),
            tzinfo=datetime.timezone.utc,
        )  # fmt: skip
    except ValueError:
        return None  # no calendar has that day


class BrokerTime:
    """The time by the broker's clock, as far as its last answer told it."""

    def __init__(self, clock: WallClock) -> None:
        """Begin with this machine's own."""
        self._clock = clock
        self._ahead = datetime.timedelta(0)

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""
        return self._clock.now() + self._ahead

    def learn(self, answer: Answer) -> None:
        """Set it by an answer's date; one without a date, or with a strange one, says nothing."""
        told = told_at(answer)
        if told is not None:
            self._ahead = told - self._clock.now()


def checked_token(
    given: asking.TokenGiven,
    wanted: Union[asking.AskToken, native.AskUnder],
    now: datetime.datetime,
) -> AccessToken:
    """Return the token that came, held against what was asked for. `now` is by the broker's clock.

    Raises:
        IssuerMisbehaved: It is malformed, out of its time, does not serve what was asked for, or
            allows more.
    """
    asked = Right(ScopeSet.of(wanted.scopes or ()).rights(), tuple(wanted.audiences or ()))
    try:
        token = read_access_token(given.access_token, now)
    except Malformed as unread:
        raise IssuerMisbehaved(f"The token that came cannot be used. {unread.sentence}") from None
    check_times(token, now)
    if token.issuer_url != given.issuer_url or token.jti != given.jti:
        raise IssuerMisbehaved("The token that came is not the one the broker announced.")
    if not serves(token, asked):
        raise IssuerMisbehaved("The token that came does not serve what was asked for.")
    if _allows_more(token, asked):
        raise IssuerMisbehaved("The token that came allows more than was asked for.")
    return token


def _allows_more(token: AccessToken, asked: Right) -> bool:
    """True if the token reaches beyond what was asked for; what was left open has no bounds."""
    bounds = Right(asked.scopes or token.scopes.rights(), asked.audiences or token.audiences)
    unasked_groups = bool(token.groups and asked.scopes) and not asked.scopes.has_groups
    return unasked_groups or allows_more(token, bounds)


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
        self._time = BrokerTime(clock)

    def under(self, lease_token: Secret) -> Broker:
        """Return the same broker, asked under another lease."""
        return Broker(self._send, self._clock, self._entropy, lease_token)

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock, as far as its last answer told it."""
        return self._time.now()

    def issuers(self) -> native.IssuersOffered:
        """Return which issuers and roles one can log in with."""
        from credbroker.wire import native

        return self._ask("GET", native.ISSUERS, native.IssuersOffered.read)

    def start_login(self, wanted: native.StartLogin) -> native.LoginStarted:
        """Begin a device login; its `login_token` polls and becomes the lease."""
        from credbroker.wire import native

        return self._ask("POST", native.LOGINS, native.LoginStarted.read, wanted.write())

    def poll_login(self) -> native.LoginState:
        """Ask once whether the login is done. Raises `LoginDenied`, `LoginExpired`."""
        from credbroker.wire import native

        return self._ask("POST", native.LOGIN_POLL, native.LoginState.read)

    def ask_token(self, wanted: asking.AskToken, shown: Optional[Secret] = None) -> Fetched:
        """Return an access token that serves what is asked for.

        Args:
            wanted: What is asked for.
            shown: The lease token to show this time, in place of the usual one.

        Raises:
            IssuerMisbehaved: The token that came is malformed, out of its time, or does not serve
                what was asked for; nobody else has seen it.
        """
        given = self._ask("POST", asking.TOKENS, asking.TokenGiven.read, wanted.write(), shown)
        return Fetched(given, checked_token(given, wanted, self.now()))

    def inspect(self, value: Secret) -> native.Inspected:
        """Return whether an access token is its issuer's; raise what keeps that from being known."""
        from credbroker.wire import native

        wanted = native.AskInspect(value)
        return self._ask("POST", native.TOKENS_INSPECT, native.Inspected.read, wanted.write())

    def ask_lease(self, wanted: native.AskLease) -> native.LeaseGiven:
        """Make a job's narrow lease under this one."""
        from credbroker.wire import native

        return self._ask("POST", native.LEASES, native.LeaseGiven.read, wanted.write())

    def lease_status(self) -> native.LeaseStatus:
        """Return how this lease and the grant behind it stand."""
        from credbroker.wire import native

        return self._ask("GET", native.LEASE_SELF, native.LeaseStatus.read)

    def end_lease(self) -> None:
        """End this lease and every lease made from it."""
        from credbroker.wire import native

        self._ask("DELETE", native.LEASE_SELF, lambda _: None)

    def log_out(self) -> native.LoggedOut:
        """Revoke the person's grant at the issuer and end all its leases."""
        from credbroker.wire import native

        return self._ask("DELETE", native.GRANT_SELF, native.LoggedOut.read)

    def notices(self) -> choosing.NoticesChosen:
        """Return whether mails are sent about the person's logins."""
        from credbroker.wire import choosing

        return self._ask("GET", choosing.NOTICES, choosing.NoticesChosen.read)

    def choose_notices(self, wanted: choosing.ChooseNotices) -> choosing.NoticesChosen:
        """Choose whether they are."""
        from credbroker.wire import choosing

        return self._ask("PUT", choosing.NOTICES, choosing.NoticesChosen.read, wanted.write())

    def consent(self, named: str, wanted: deliveries.ConsentDelivery) -> deliveries.DeliveryShown:
        """Consent, under the lease of a login, to a delivery that a host has announced."""
        from credbroker.wire import deliveries

        target = delivery_target(deliveries.CONSENT, named)
        return self._ask("POST", target, deliveries.DeliveryShown.read, wanted.write())

    def my_deliveries(self) -> deliveries.DeliveriesShown:
        """Return the person's standing orders, at whatever host."""
        from credbroker.wire import deliveries

        return self._ask("GET", deliveries.MY_DELIVERIES, deliveries.DeliveriesShown.read)

    def end_delivery(self, named: str) -> None:
        """End a standing order; its hosts get no more tokens for it."""
        from credbroker.wire import deliveries

        self._ask("DELETE", delivery_target(deliveries.DELIVERY, named), lambda _: None)

    def _ask(
        self,
        method: str,
        target: str,
        read: Callable[[bytes], T],
        body: bytes = b"",
        shown: Optional[Secret] = None,
    ) -> T:
        headers = request_headers(self._entropy, shown or self._lease_token)
        answer = self._send(Request(method, target, headers, body))
        self._time.learn(answer)
        return read_answer(answer, read)
