"""The source of orders that an access point's folder is.

- A look at everything is cheap: a user's folder is read only if it, or a file in it, has changed.
- A `.top` that has vanished is forgotten. Its `.use` goes only if it holds what was delivered here.
- No `.top` is ever removed, and a `.use` never because of an error while its token is good. It goes
  once that has expired and it is certain that none will follow; the log says what that does to jobs.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
)
from credbroker.domain.tokens import AccessToken
from credbroker.edge.condor.folder import TOP, USE, Seen
from credbroker.edge.condor.use_file import read_use
from credbroker.edge.condor.wake import Wake
from credbroker.edge.condor.wanted import Reader, Wanted
from credbroker.edge.orders import Fresh, Order
from credbroker.ports import Clock

LEAST_LEFT_SECONDS = 600.0
"""What is delivered should live at least so long: a job may get it only then."""

_TIDY_SECONDS = 5.0
# Two changes within one tick of a file system's clock look like one.
_SETTLED_NS = 2 * 10**9
# No write takes so long that its temporary file is still being written then.
_LEFT_NS = 3600 * 10**9
_CERTAIN_ENDS = (LeaseEnded, LoginNeeded)

Say = Callable[..., None]
"""Writes one event into the log, with fields."""


@dataclass(slots=True)
class _Known:
    """One name of a user, and what became of it so far."""

    user: str
    name: str
    wanted: Wanted
    sources: tuple[tuple[str, Seen], ...] = ()
    """The files that it was read from; none if it is to be read again."""
    losses: int = 0
    delivered: str | None = None
    """The fingerprint of the token that was delivered from here."""
    expires_at: datetime.datetime | None = None
    """When the token in the file ends; None if none is known to be there."""
    ended: CredbrokerError | None = None
    told: str = ""
    alarmed: bool = False
    settled: bool = False
    """Whether it is known by now what comes of it."""

    @property
    def order(self) -> Order | None:
        """The order, as one placed anew if its file has been lost."""
        order = self.wanted.order
        if order is None or not self.losses:
            return order
        return replace(order, version=f"{order.version}-{self.losses}")


class CondorSource:
    """Orders from `.top` files. Follows `edge.orders.Source`."""

    def __init__(self, reader: Reader, wake: Wake, clock: Clock, say: Say) -> None:
        """Read by `reader` what `wake` has noticed."""
        self._reader = reader
        self._wake = wake
        self._clock = clock
        self._say = say
        self._users: dict[str, dict[str, _Known]] = {}
        self._read_at: dict[str, int] = {}
        self._listed: dict[str, Order] = {}
        self._orders: dict[str, Order] = {}
        self._is_published = True
        self._tidied_at = clock.elapsed()
        self.looks = 0
        """How often everything was looked at."""

    def read_by(self, reader: Reader) -> None:
        """Read everything anew, by other settings."""
        self._reader = reader
        self._read_at.clear()
        for known in self._all():
            known.sources = ()
        self._wake.everywhere()

    def is_settled(self) -> bool:
        """True once everything was looked at, and each name has a token or a reason for none."""
        return self.looks > 0 and all(known.settled for known in self._all())

    def orders(self) -> Mapping[str, Order]:
        """Return the orders as the folder has them now."""
        noticed = self._wake.take()
        if noticed.everywhere:
            self._look_everywhere()
        for user in noticed.users:
            self._look(user)
        if self._clock.elapsed() - self._tidied_at >= _TIDY_SECONDS:
            self._tidied_at = self._clock.elapsed()
            self._tidy()
        if not self._is_published:
            self._orders, self._is_published = dict(self._listed), True
        return self._orders

    async def changed(self) -> None:
        """Return as soon as something may have changed."""
        await self._wake.wait()

    def found(self, order: Order) -> AccessToken | None:
        """Return what lies in the `.use` if it is newer than what asks for it, and as it should be."""
        known = self._of(order)
        read = self._in_use(known.user, known.name) if known is not None else None
        if known is None or read is None:
            return None
        seen, token = read
        known.expires_at = token.expires_at
        if not seen.is_ours or seen.changed_ns < known.wanted.since_ns:
            return None
        known.settled = True
        changed = datetime.datetime.fromtimestamp(seen.changed_ns / 1e9, datetime.UTC)
        return token.obtained(changed)

    def delivered(self, order: Order, fresh: Fresh) -> None:
        """Take note that the `.use` holds this token now."""
        known = self._of(order)
        if known is None:
            user, _, name = order.id.partition("/")
            self._remove_orphan(user, name, fresh.token.value.fingerprint())
            return
        if known.told:
            self._say("served again", user=known.user, name=known.name)
        known.delivered = fresh.token.value.fingerprint()
        known.expires_at = fresh.token.expires_at
        known.ended, known.told, known.alarmed, known.settled = None, "", False, True

    def failed(self, order: Order, error: CredbrokerError) -> None:
        """Take note that there is no new token; what is there stays."""
        known = self._of(order)
        if known is None or self._reader.folder.is_gone(known.user, known.name + TOP):
            return  # HTCondor has swept it away meanwhile
        if isinstance(error, _CERTAIN_ENDS):
            known.ended = error
        self._tell(known, error)

    def _look_everywhere(self) -> None:
        try:
            there = dict(self._reader.folder.users())
        except CredbrokerError as problem:
            self._say("the folder cannot be read", why=problem.sentence, do=problem.remedy)
            return
        self.looks += 1
        for user, changed_ns in there.items():
            if self._read_at.get(user) != changed_ns or self._has_changed(user):
                self._remember(user, changed_ns, was_read=self._look(user))
        for user in self._users.keys() - there.keys():
            self._forget_user(user)

    def _remember(self, user: str, changed_ns: int, *, was_read: bool) -> None:
        if was_read and self._now_ns() - changed_ns > _SETTLED_NS:
            self._read_at[user] = changed_ns
        else:
            self._read_at.pop(user, None)

    def _has_changed(self, user: str) -> bool:
        """True if a file is not as it was, in a folder whose list of files is the same."""
        glance = self._reader.folder.glance
        for known in self._users.get(user, {}).values():
            if not known.sources:
                return True
            for file, seen in known.sources:
                if glance(user, file) != (seen.inode, seen.changed_ns):
                    return True
        return False

    def _look(self, user: str) -> bool:
        """Read one user's files; say whether that was possible. If not, what is known goes on."""
        folder = self._reader.folder
        try:
            if user not in self._users:
                folder.clear_leftovers(user, self._now_ns() - _LEFT_NS)
            files = folder.files(user)
        except CredbrokerError as problem:
            self._say("a folder cannot be read", user=user, why=problem.sentence)
            return False
        names = self._reader.names(files)
        known = self._users.get(user, {})
        for name in known.keys() - names:
            self._forget(known.pop(name))
        for name in names:
            self._read(user, name, files)
        if not names:
            self._users.pop(user, None)
        return True

    def _read(self, user: str, name: str, files: Mapping[str, Seen]) -> None:
        sources = tuple((one, files[one]) for one in self._reader.sources(name, files))
        known = self._users.setdefault(user, {}).get(name)
        if known is None or known.sources != sources:
            wanted = self._reader.wanted(user, name, files)
            if isinstance(wanted.problem, LocalFileUnfit):
                sources = ()  # what could not be read may be readable the next time
            known = self._renewed(known, _Known(user, name, wanted, sources))
        if known.expires_at is not None and name + USE not in files:
            known.losses += 1
            known.delivered = known.expires_at = None
        self._users[user][name] = known
        self._list(known)

    def _renewed(self, before: _Known | None, known: _Known) -> _Known:
        if before is not None:
            ended = before.ended if before.wanted.order == known.wanted.order else None
            known = replace(before, wanted=known.wanted, sources=known.sources, ended=ended)
        if known.wanted.problem is not None:
            self._tell(known, known.wanted.problem)
            if (
                known.expires_at is None
                and (read := self._in_use(known.user, known.name)) is not None
            ):
                known.expires_at = read[1].expires_at
        return known

    def _list(self, known: _Known) -> None:
        key, order = f"{known.user}/{known.name}", known.order
        if order is not None and order != self._listed.get(key):
            self._listed[key] = order
            self._is_published = False
        if order is None:
            self._unlist(key)

    def _unlist(self, key: str) -> None:
        if self._listed.pop(key, None) is not None:
            self._is_published = False

    def _forget_user(self, user: str) -> None:
        self._read_at.pop(user, None)
        for known in self._users.pop(user).values():
            self._unlist(f"{user}/{known.name}")

    def _forget(self, known: _Known) -> None:
        self._unlist(f"{known.user}/{known.name}")
        if known.delivered is not None:
            self._remove_orphan(known.user, known.name, known.delivered)

    def _remove_orphan(self, user: str, name: str, delivered: str) -> None:
        """Take away what was delivered for a `.top` that is no longer there."""
        if not self._reader.folder.is_gone(user, name + TOP):
            return  # it is there and not ours to serve any more, or nobody can tell
        read = self._in_use(user, name)
        if read is None or read[1].value.fingerprint() != delivered:
            return  # somebody else has put another there
        if self._reader.folder.remove(user, name + USE, read[0]):
            self._say("removed: nobody wants it any more", user=user, name=name)

    def _tidy(self) -> None:
        now = self._clock.now()
        for known in self._all():
            if known.expires_at is None:
                continue
            left = (known.expires_at - now).total_seconds()
            if left <= 0 and known.ended is not None:
                self._remove_expired(known, now)
            elif left < LEAST_LEFT_SECONDS and not known.alarmed:
                known.alarmed = True
                self._say(
                    "ALARM: a delivered token ends soon and has no successor",
                    user=known.user,
                    name=known.name,
                    seconds_left=int(left),
                )

    def _remove_expired(self, known: _Known, now: datetime.datetime) -> None:
        read = self._in_use(known.user, known.name)
        if read is None or read[1].expires_at > now:
            known.expires_at = None if read is None else read[1].expires_at
            return
        if self._reader.folder.remove(known.user, known.name + USE, read[0]):
            self._say(
                "removed: it has expired and its login has ended; HTCondor will hold its jobs",
                user=known.user,
                name=known.name,
                why=known.ended and known.ended.sentence,
            )
        known.delivered = known.expires_at = None

    def _in_use(self, user: str, name: str) -> tuple[Seen, AccessToken] | None:
        try:
            content = self._reader.folder.read(user, name + USE)
            if content is None:
                return None
            return content.seen, read_use(content.read, self._clock.now())
        except (LocalFileUnfit, Malformed):
            return None

    def _tell(self, known: _Known, error: CredbrokerError) -> None:
        known.settled = True
        if known.told != error.sentence:
            known.told = error.sentence
            self._say(
                "no new token",
                user=known.user,
                name=known.name,
                why=error.sentence,
                do=error.remedy,
            )

    def _of(self, order: Order) -> _Known | None:
        user, _, name = order.id.partition("/")
        return self._users.get(user, {}).get(name)

    def _now_ns(self) -> int:
        return int(self._clock.now().timestamp() * 1e9)

    def _all(self) -> Iterator[_Known]:
        return (known for names in self._users.values() for known in names.values())
