"""The access tokens at hand, in memory only: a restart loses them and asks the issuer anew.

- Who was given one is told when to come back. Shortly before the first of them does, the token is
  due to be renewed ahead; one that was renewed ahead and that nobody has come for since is not.
- Of one line there are at most `MOST_RIGHTS` tokens. The one that was least recently asked for goes
  first, and one that somebody is expected back for only where it is so for all.
"""

from __future__ import annotations

import datetime
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from credbroker.domain.attenuation import Right
from credbroker.domain.names import GrantKey
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Clock

MOST_RIGHTS = 200
_LEAST_ROOM = 1000
# A refresh is mostly done in this time; of a shorter pause, a tenth has to do.
_AHEAD_SECONDS = 10.0
# Who is later than this by more than a tenth of its pause does not come back.
_LATE_SECONDS = 60.0

_Place = tuple[str, Right]


@dataclass(frozen=True, slots=True)
class InUse:
    """A right that somebody lives on, and when the token at hand for it expires."""

    key: GrantKey
    line: str
    right: Right
    expires_at: datetime.datetime


@dataclass(slots=True)
class _Use:
    """When a token's consumers come back, the first and the last of them (`Clock.elapsed`)."""

    key: GrantKey
    token: AccessToken
    due: float
    last_back: float


class HeldTokens:
    """Access tokens by the line of logins they belong to and the right they carry."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none; tokens that have expired by `clock` are dropped."""
        self._clock = clock
        self._held: dict[str, OrderedDict[Right, AccessToken]] = {}
        self._uses: dict[_Place, _Use] = {}
        self._size = 0
        self._due: list[tuple[float, int, _Place]] = []
        self._count = itertools.count()
        self._room = _LEAST_ROOM

    def get(self, line: str, right: Right) -> AccessToken | None:
        """Return the token at hand, which may have expired, or None."""
        of_line = self._held.get(line)
        if of_line is None or right not in of_line:
            return None
        of_line.move_to_end(right)
        return of_line[right]

    def put(self, line: str, right: Right, token: AccessToken) -> None:
        """Keep a token that was checked against `right`."""
        if self._size >= self._room:
            self._sweep()
        of_line = self._held.setdefault(line, OrderedDict())
        self._size += right not in of_line
        of_line[right] = token
        of_line.move_to_end(right)
        if len(of_line) > MOST_RIGHTS:
            self._drop(line, self._least_missed(line))

    def forget(self, line: str) -> None:
        """Drop every token of a line whose person has logged out."""
        for right in list(self._held.get(line, ())):
            self._drop(line, right)

    def take_from(self, before: HeldTokens, issuer_urls: Collection[str]) -> None:
        """Hold also what another held of these issuers, for those who are expected back for it."""
        for line, of_line in before._held.items():
            for right, token in of_line.items():
                if token.issuer_url in issuer_urls:
                    self.put(line, right, token)
        for place, use in before._uses.items():
            if self.get(*place) is use.token:
                self._uses[place] = replace(use)
                heapq.heappush(self._due, (use.due, next(self._count), place))

    def _sweep(self) -> None:
        """Drop what has expired. Room for as many again keeps this cheap however many there are."""
        now = self._clock.now()
        places = [(line, right) for line, of_line in self._held.items() for right in of_line]
        for line, right in places:
            if self._held[line][right].expires_at <= now:
                self._drop(line, right)
        self._room = max(_LEAST_ROOM, 2 * self._size)

    def _least_missed(self, line: str) -> Right:
        """Return what goes of a line that has too many; the newest, which came just now, stays."""
        elapsed = self._clock.elapsed()
        *rights, _ = self._held[line]
        uses = ((right, self._uses.get((line, right))) for right in rights)
        idle = (right for right, use in uses if use is None or use.last_back < elapsed)
        return next(idle, rights[0])

    def _drop(self, line: str, right: Right) -> None:
        del self._held[line][right]
        self._uses.pop((line, right), None)
        self._size -= 1
        if not self._held[line]:
            del self._held[line]

    def served(self, key: GrantKey, line: str, right: Right, back_seconds: float) -> None:
        """Note that somebody was given the token at hand and comes back in `back_seconds`."""
        place, token = (line, right), self.get(line, right)
        if token is None:
            return
        now = self._clock.elapsed()
        due = now + back_seconds - min(_AHEAD_SECONDS, back_seconds / 10)
        last_back = now + back_seconds * 1.1 + _LATE_SECONDS
        use = self._uses.get(place)
        if use is None or use.token is not token:
            self._uses[place] = _Use(key, token, due, last_back)
        elif due < use.due:
            use.due, use.last_back = due, max(use.last_back, last_back)
        else:
            use.last_back = max(use.last_back, last_back)
            return
        heapq.heappush(self._due, (due, next(self._count), place))

    def take_due(self) -> list[InUse]:
        """Return, once, what is to be renewed now so that its consumers find it renewed."""
        now = self._clock.elapsed()
        taken = []
        while self._due and self._due[0][0] <= now:
            due, _, place = heapq.heappop(self._due)
            use = self._uses.get(place)
            if use is None or use.due != due:
                continue  # an earlier time, or a later token, has taken its place
            if self._at(place) is use.token:
                taken.append(InUse(use.key, *place, use.token.expires_at))
        return taken

    def in_use(self) -> Iterator[InUse]:
        """Walk all that is alive and that somebody is expected back for."""
        elapsed, now = self._clock.elapsed(), self._clock.now()
        for place, use in self._uses.items():
            expires_at = self._at(place).expires_at
            if use.last_back >= elapsed and expires_at > now:
                yield InUse(use.key, *place, expires_at)

    def _at(self, place: _Place) -> AccessToken:
        line, right = place
        return self._held[line][right]
