"""Gives the same client the token of the last seconds for the same request, where that is wanted.

- Never one with `storage.modify`, and never one of which less than half its life is left.
- One replica remembers for itself alone; what it forgets is signed anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from credbroker.domain.clients import Client
from credbroker.domain.policy import Decision
from credbroker.domain.tokens import AccessToken
from credbroker.ports import Clock

ROOM = 20_000


@dataclass(frozen=True, slots=True)
class _Kept:
    token: AccessToken
    until: float
    """By `Clock.elapsed`."""


class Reusing:
    """The tokens that clients may be given again."""

    def __init__(self, clock: Clock, *, room: int = ROOM) -> None:
        """Remember `room` tokens at the most."""
        self._clock = clock
        self._room = room
        self._kept: dict[Hashable, _Kept] = {}

    def find(self, client: Client, decision: Decision) -> AccessToken | None:
        """Return the token that this client may be given again for this, if there is one."""
        if not client.reuse_seconds:
            return None
        kept = self._kept.get(_key(client, decision))
        if kept is None or self._clock.elapsed() >= kept.until:
            return None
        left = kept.token.seconds_left(self._clock.now())
        return kept.token if 2 * left >= decision.seconds else None

    def keep(self, client: Client, decision: Decision, token: AccessToken) -> None:
        """Remember a token that was just signed, if it may be given again."""
        if not client.reuse_seconds or any(i.name == "storage.modify" for i in token.scopes):
            return
        if len(self._kept) >= self._room:
            self._make_room()
        half = token.seconds_left(self._clock.now()) / 2
        until = self._clock.elapsed() + min(client.reuse_seconds, half)
        self._kept[_key(client, decision)] = _Kept(token, until)

    def _make_room(self) -> None:
        now = self._clock.elapsed()
        self._kept = {key: kept for key, kept in self._kept.items() if now < kept.until}
        if len(self._kept) >= self._room:
            self._kept.clear()


def _key(client: Client, decision: Decision) -> Hashable:
    # Some services look at the first audience alone: their order counts.
    right = decision.right
    return client.id, right, right.audiences, decision.groups, decision.seconds
