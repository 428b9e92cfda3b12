"""When to look at which grant again: small, for it knows every grant that this replica keeps.

A look at what is due costs as much as is due, never as much as is known. A grant has one place in
the queue: a later time is noticed when the earlier one comes; only an earlier one is queued anew.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

Standing = tuple[str, str]
"""A grant's issuer and state, or one of these two."""
UNREAD = ("", "unread")
DAMAGED = ("", "damaged")

_NEVER = float("inf")
_LEAST_ROOM = 1000


class _Slot:
    """One grant: how it stands, when to look at it, and when the queue will bring it up."""

    __slots__ = ("queued", "standing", "when")

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.when = self.queued = _NEVER


class KeptIndex:
    """Grants by segment; times are `Clock.elapsed`."""

    def __init__(self) -> None:
        """Begin with none."""
        self._slots: dict[str, _Slot] = {}
        self._queue: list[tuple[float, str]] = []
        self._counts: Counter[Standing] = Counter()
        self._same: dict[Standing, Standing] = {}

    def __contains__(self, segment: str) -> bool:
        return segment in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def census(self) -> dict[Standing, int]:
        """Return how many grants stand how."""
        return {standing: count for standing, count in self._counts.items() if count}

    def standing(self, segment: str) -> Standing | None:
        """Return how a grant stands, None if it is not kept here."""
        slot = self._slots.get(segment)
        return slot.standing if slot is not None else None

    def stand(self, segment: str, standing: Standing) -> None:
        """Note how a grant stands, and nothing about when to look at it."""
        slot = self._slots.get(segment)
        if slot is None:
            slot = self._slots[segment] = _Slot(standing)
        else:
            self._counts[slot.standing] -= 1
        slot.standing = self._same.setdefault(standing, standing)
        self._counts[standing] += 1

    def look(self, segment: str, when: float) -> None:
        """Have a grant that is kept here looked at at `when`, whatever was said before."""
        slot = self._slots.get(segment)
        if slot is None:
            return
        slot.when = when
        if when < slot.queued:
            slot.queued = when
            heapq.heappush(self._queue, (when, segment))
            self._tidy()

    def look_unless_set(self, segment: str, when: float) -> None:
        """Have a grant looked at at `when`, unless a time was set since it was last taken."""
        slot = self._slots.get(segment)
        if slot is not None and slot.when == _NEVER:
            self.look(segment, when)

    def take_due(self, now: float, limit: int) -> list[str]:
        """Return up to `limit` grants whose time has come; each is asked for again by `look`."""
        taken: list[str] = []
        while self._queue and self._queue[0][0] <= now and len(taken) < limit:
            queued, segment = heapq.heappop(self._queue)
            slot = self._slots.get(segment)
            if slot is None or slot.queued != queued:
                continue
            slot.queued = _NEVER
            if slot.when <= now:
                slot.when = _NEVER
                taken.append(segment)
            else:
                self.look(segment, slot.when)
        return taken

    def drop(self, segment: str) -> None:
        """Forget a grant."""
        slot = self._slots.pop(segment, None)
        if slot is not None:
            self._counts[slot.standing] -= 1

    def keep_only(self, kept: Callable[[str], bool]) -> None:
        """Forget every grant but those that `kept` is true of."""
        for segment in [segment for segment in self._slots if not kept(segment)]:
            self.drop(segment)

    def _tidy(self) -> None:
        """Rid the queue of what was overtaken, once that is the greater part."""
        if len(self._queue) > 2 * len(self._slots) + _LEAST_ROOM:
            queued = ((slot.queued, segment) for segment, slot in self._slots.items())
            self._queue = [place for place in queued if place[0] != _NEVER]
            heapq.heapify(self._queue)
