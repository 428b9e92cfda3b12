"""The broker's deliveries as one function from request to answer, for hosts and for people.

It keeps the promises of `wire.deliveries` that the two ends rely on, and
`tests/integration/test_deliveries_contract.py` holds it against the real one. Leases that it gives are known to a `FakeBroker`, if there is one.
"""

from __future__ import annotations

import datetime
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.client.http11 import Answer, Request
from credbroker.domain.deliveries import Ordered, Target, check_ordered
from credbroker.domain.errors import CredbrokerError, LeaseUnknown, NotAllowed, NotFound
from credbroker.domain.secret import Secret
from credbroker.wire import deliveries
from credbroker.wire.problem import write_problem

if TYPE_CHECKING:
    from tests.fakes.broker import FakeBroker, WallClock

HOST = "login1.example.org"
GROUP = "logins"


@dataclass
class FakeDeliveries:
    """One broker with one host; `away` makes it raise what a client raises for an unreachable one."""

    clock: WallClock
    broker: FakeBroker | None = None
    join_token: str = "cj_good"
    away: CredbrokerError | None = None
    problems: deque[CredbrokerError | None] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    traded: list[tuple[str, str]] = field(default_factory=list)
    assertions: list[Secret | None] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    announced: dict[str, tuple[str, deliveries.AnnounceDelivery]] = field(default_factory=dict)
    consented: dict[str, tuple[str, deliveries.AnnounceDelivery]] = field(default_factory=dict)
    standing: dict[str, deliveries.DeliveryShown] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    """The living lease token of each order."""

    async def send(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        """Answer as an asynchronous door does."""
        return self(request)

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        self.requests.append(request)
        if self.away is not None:
            raise self.away
        headers = {"date": self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        try:
            problem = self.problems.popleft() if self.problems else None
            if problem is not None:
                raise problem
            return Answer(200, headers, self._route(request))
        except CredbrokerError as error:
            return Answer(400, headers, write_problem(error, "req-1"))

    def order(self, uid: int, **fields: object) -> deliveries.DeliveryShown:
        """Put a standing order there, as after a consent."""
        number = len(self.standing) + len(self.announced) + 1
        usual: dict[str, object] = {
            "id": f"order-{number}",
            "uid": uid,
            "user": f"u{uid}",
            "issuer": "cms",
            "role": "default",
            "scopes": ["storage.read:/"],
            "audiences": ["https://dav"],
            "replaces_foreign": False,
            "ends_at": self.clock.now() + datetime.timedelta(days=27),
            "host": None if "group" in fields else HOST,
        }
        shown = deliveries.DeliveryShown(**{**usual, **fields})  # type: ignore[arg-type] # the test knows the fields
        self.standing[shown.id] = shown
        return shown

    def count(self, method: str, target: str) -> int:
        """Return how many requests matched; `target` may be a template."""
        pattern = re.compile(re.escape(target).replace(r"\{id\}", "[^/]+") + r"\Z")
        return sum(
            one.method == method and bool(pattern.match(one.target)) for one in self.requests
        )

    def _route(self, request: Request) -> bytes:
        if request.target == deliveries.HOST_JOIN:
            return self._join(request)
        if request.target == deliveries.HOST_SESSIONS:
            return self._open(request)
        if request.target == deliveries.DELIVERIES:
            self._host(request)
            return self._announce(request) if request.method == "POST" else self._shown()
        if request.target == deliveries.MY_DELIVERIES:
            return self._shown()
        named, _, deed = request.target.removeprefix(deliveries.DELIVERIES + "/").partition("/")
        if request.method == "DELETE":
            return self._end(named, by_host=self._is_host(request))
        if deed == "consent":
            return self._consent(named, deliveries.ConsentDelivery.read(request.body))
        self._host(request)
        return self._lease(named)

    def _join(self, request: Request) -> bytes:
        wanted = deliveries.JoinHost.read(request.body)
        shown = wanted.join_token.reveal()
        if shown != self.join_token and (shown, wanted.public_key) not in self.traded:
            raise NotAllowed("This join token is not known here, or was used.")
        self.join_token = ""
        self.traded.append((shown, wanted.public_key))
        self.keys.append(wanted.public_key)
        return deliveries.HostJoined(HOST).write()

    def _open(self, request: Request) -> bytes:
        self.assertions.append(deliveries.OpenHostSession.read(request.body).assertion)
        token = f"ch_{len(self.assertions)}"
        self.sessions.add(token)
        ends_at = self.clock.now() + datetime.timedelta(hours=1)
        return deliveries.HostSession(Secret("host token", token), HOST, [GROUP], ends_at).write()

    def _is_host(self, request: Request) -> bool:
        return request.headers.get("Authorization", "").startswith("Bearer ch_")

    def _host(self, request: Request) -> None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.sessions:
            raise LeaseUnknown("This host token is not known here.")

    def _announce(self, request: Request) -> bytes:
        wanted = deliveries.AnnounceDelivery.read(request.body)
        _check(wanted)
        if wanted.group not in {None, GROUP}:
            raise NotAllowed("This host is not of that group.")
        named = f"order-{len(self.standing) + len(self.announced) + 1}"
        self.announced[named] = (f"cc_{named}", wanted)
        until = self.clock.now() + datetime.timedelta(minutes=10)
        code = Secret("consent code", f"cc_{named}")
        return deliveries.DeliveryAnnounced(named, code, until).write()

    def _consent(self, named: str, shown: deliveries.ConsentDelivery) -> bytes:
        code, wanted = self.announced.get(named, self.consented.get(named, ("", None)))
        if wanted is None or shown.consent_code.reveal() != code:
            raise NotFound("No order waits for consent by this id and code.")
        if _what(shown) != _what(wanted):
            raise NotAllowed("This is not what was announced.")
        if shown.host != (None if wanted.group else HOST):
            raise NotAllowed("This is not the host that announced it.")
        if named in self.standing:
            return self.standing[named].write()
        self.consented[named] = self.announced.pop(named)
        return self.order(
            wanted.uid,
            id=named,
            user=wanted.user,
            issuer=wanted.issuer,
            role=wanted.role,
            scopes=wanted.scopes,
            audiences=wanted.audiences,
            name=wanted.name,
            replaces_foreign=wanted.replaces_foreign,
            **{"group": wanted.group} if wanted.group else {},
        ).write()

    def _shown(self) -> bytes:
        return deliveries.DeliveriesShown(list(self.standing.values())).write()

    def _lease(self, named: str) -> bytes:
        order = self.standing.get(named)
        if order is None:
            raise NotFound("There is no such order.")
        number = self.count("POST", deliveries.DELIVERY_LEASE)
        token = Secret("lease token", f"cb_{number:022d}.{'d' * 43}")
        self.leases[named] = token.reveal()
        return deliveries.DeliveryLease(token, order.ends_at).write()

    def _end(self, named: str, *, by_host: bool) -> bytes:
        order = self.standing.get(named)
        if order is None:
            raise NotFound("There is no such order.")
        if by_host and order.group is not None:
            raise NotAllowed("An order for a whole group is ended by its person.")
        del self.standing[named]
        self.leases.pop(named, None)
        return b""


def _check(said: deliveries.AnnounceDelivery) -> None:
    """Refuse what a broker refuses."""
    target = Target(said.group or HOST, is_group=said.group is not None)
    scopes, audiences = tuple(said.scopes), tuple(said.audiences)
    check_ordered(
        Ordered(target, said.uid, said.user, said.issuer, said.role, scopes, audiences,
                said.name or "")
    )  # fmt: skip


def _what(said: deliveries.ConsentDelivery | deliveries.AnnounceDelivery) -> tuple[object, ...]:
    """Return what a host announces and a person repeats."""
    lists = (set(said.scopes), set(said.audiences))
    return (said.uid, said.user, said.name, said.replaces_foreign, said.group, *lists)
