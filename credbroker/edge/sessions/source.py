"""The orders of a host's people: those who are logged in, each as consented.

A file is kept for whoever ordered it and is logged in, and for nobody else. One that somebody else
made stays: its order rests until it is gone, unless the person ordered that it be replaced. Nothing
of one person's delays another's.
"""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from credbroker.delivery import whole_file
from credbroker.delivery.whole_file import ForeignFile
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError, LocalFileUnfit, Malformed
from credbroker.domain.names import check_short_name
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.tokens import AccessToken, serves
from credbroker.edge.orders import Fresh, Order, Place
from credbroker.edge.sessions.bell import Bell
from credbroker.edge.sessions.logged_in import Session, Sessions
from credbroker.edge.sessions.written import Written
from credbroker.ports import Clock
from credbroker.wire.deliveries import DeliveryShown
from credbroker.wire.fields import write_instant
from credbroker.wire.jwt import read_access_token

SERVER = "broker"

Say = Callable[..., None]
"""Tells one event with its fields, as `edge.job.log` does."""


def check_name(name: str | None) -> None:
    """Raise `Malformed` if a file cannot be named so."""
    if name is not None:
        check_short_name("token", name)


def file_name(uid: int, name: str | None) -> str:
    """Return the name of the file in which a person finds this token."""
    return f"bt_u{uid}" if name is None else f"bt_u{uid}-{name}"


class SessionOrders:
    """What is kept fresh on this host now. Follows `edge.orders.Source`."""

    def __init__(self, written: Written, clock: Clock, say: Say) -> None:
        """Begin with nobody logged in and nothing ordered."""
        self._written = written
        self._clock = clock
        self._say = say
        self._bell = Bell(clock)
        self._sessions: Sessions = {}
        self._standing: dict[str, DeliveryShown] = {}
        self._resting: set[str] = set()
        self._told: dict[str, str] = {}
        self._orders: dict[str, Order] = {}
        self._visits: Counter[int] = Counter()

    def log_in(self, sessions: Sessions) -> None:
        """Take these people as all who are logged in."""
        if sessions == self._sessions and not self._woken():
            return
        for uid in sessions.keys() - self._sessions.keys():
            self._visits[uid] += 1
        for uid in (self._sessions.keys() | self._written.remembered()) - sessions.keys():
            with contextlib.suppress(LocalFileUnfit):  # it is looked at again when they come again
                self._written.forget(uid)
        self._sessions = sessions
        self._work_out()

    def stand(self, deliveries: Iterable[DeliveryShown]) -> None:
        """Take these as all orders that people have consented to."""
        self._standing = {one.id: one for one in deliveries if self._is_fit(one)}
        self._work_out()

    def of(self, uid: int) -> Iterator[tuple[DeliveryShown, str]]:
        """Walk a person's orders, each with how it stands, in words."""
        for one in self._standing.values():
            if one.uid == uid:
                yield one, self._state(one)

    def ordered_by(self, named: str) -> str | None:
        """Return who placed the order with this id, by name; None if it does not stand."""
        one = self._standing.get(named)
        return None if one is None else one.user

    def orders(self) -> Mapping[str, Order]:
        """Return the orders of those who are logged in, by id."""
        return self._orders

    def found(self, order: Order) -> AccessToken | None:
        """Return the token in the order's file if this agent brought it and it still serves."""
        owner = order.place.owner
        assert owner is not None
        try:
            content = whole_file.read(order.place.path, private=False, owner=owner)
            if content is None or not self._written.owns(owner[0], content):
                return None
            text = content.decode("ascii").strip()
            token = read_access_token(Secret("access token", text), self._clock.now())
        except (CredbrokerError, UnicodeDecodeError):
            return None
        asked = Right(ScopeSet.of(order.scopes or ()).rights(), order.audiences or ())
        return token if serves(token, asked) else None

    async def changed(self) -> None:
        """Return as soon as there may be other orders."""
        await self._bell.heard()

    def delivered(self, order: Order, fresh: Fresh) -> None:
        """Tell the person that the file is fresh."""
        self._told[order.id] = f"fresh until {write_instant(fresh.token.expires_at)}"

    def failed(self, order: Order, error: CredbrokerError) -> None:
        """Tell the person and the operator; an order that meets a foreign file rests."""
        self._say("not fresh", order=order.id, error=error.code, message=error.sentence)
        self._told[order.id] = f"{error.sentence} {error.remedy}"
        if isinstance(error, ForeignFile):
            self._told[order.id] = (
                f"waits: {order.place.path} was not made by this agent."
                " Remove it, or order anew with --replace"
            )
            self._resting.add(order.id)
            self._work_out()

    def _is_fit(self, one: DeliveryShown) -> bool:
        """Take no name that could lead out of a person's folder, whoever says it."""
        try:
            check_name(one.name)
        except Malformed as unfit:
            self._say("not kept", order=one.id, message=unfit.sentence)
            return False
        return True

    def _work_out(self) -> None:
        """Set the orders, and wake who waits for a change if they are others."""
        self._resting &= self._standing.keys()
        self._told = {key: told for key, told in self._told.items() if key in self._standing}
        orders = {one.id: self._order(one, self._sessions[one.uid]) for one in self._wanted()}
        if orders != self._orders:
            self._orders = orders
            self._bell.ring()

    def _wanted(self) -> Iterator[DeliveryShown]:
        """Walk what is to be kept: one order for each file, an order for this very host first."""
        now, taken = self._clock.now(), set()
        for one in sorted(self._standing.values(), key=_precedence):
            file = (one.uid, one.name)
            if one.uid not in self._sessions or one.ends_at <= now or file in taken:
                continue
            taken.add(file)
            if one.id not in self._resting:
                yield one

    def _order(self, one: DeliveryShown, session: Session) -> Order:
        return Order(
            id=one.id,
            place=Place(
                path=_path(one, session),
                owner=(session.uid, session.gid),
                as_owner=True,
                may_replace=None if one.replaces_foreign else self._written.question(one.uid),
            ),
            server=SERVER,
            secret=Secret("order", one.id),
            scopes=tuple(one.scopes),
            audiences=tuple(one.audiences),
            # Who logs out and in again has an empty folder.
            version=f"{self._visits[session.uid]}:{session.comings}",
        )

    def _woken(self) -> bool:
        """Let orders whose foreign file is gone go on; say whether there was one."""
        woken = {key for key in self._resting if not self._meets_foreign(self._standing[key])}
        self._resting -= woken
        return bool(woken)

    def _meets_foreign(self, one: DeliveryShown) -> bool:
        session = self._sessions.get(one.uid)
        if session is None:
            return False
        owner = (session.uid, session.gid)
        try:
            content = whole_file.read(_path(one, session), private=False, owner=owner)
        except LocalFileUnfit:
            return True
        return content is not None and not self._written.owns(one.uid, content)

    def _state(self, one: DeliveryShown) -> str:
        if one.ends_at <= self._clock.now():
            return "has ended with its login: order it anew, with credbroker deliver new"
        if one.uid not in self._sessions:
            return "not logged in here"
        if one.id in self._orders:
            return self._told.get(one.id, "is being fetched")
        return self._told.get(one.id, "another order keeps this file")


def path_in(folder: Path, uid: int, name: str | None) -> Path:
    """Return the file of a person whose session folder lies in `folder`."""
    return folder / str(uid) / file_name(uid, name)


def _path(one: DeliveryShown, session: Session) -> Path:
    return session.folder / file_name(one.uid, one.name)


def _precedence(one: DeliveryShown) -> tuple[bool, datetime.timedelta, str]:
    """Put an order for this host before one for a group, and what lasts longer first."""
    far = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return one.host is None, far - one.ends_at, one.id
