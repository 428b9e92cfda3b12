"""What has been noticed and not looked at yet: however often it is said, it is one look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Noticed:
    """Where to look: at these users, or with `everywhere` at all of them."""

    users: frozenset[str] = frozenset()
    everywhere: bool = False


@dataclass
class Wake:
    """Gathers what is noticed until somebody looks; at first everything is to be looked at."""

    _users: set[str] = field(default_factory=set)
    _everywhere: bool = True
    _something: asyncio.Event = field(default_factory=asyncio.Event)

    def user(self, name: str) -> None:
        """Note that something changed in this user's folder."""
        self._users.add(name)
        self._something.set()

    def everywhere(self) -> None:
        """Note that anything may have changed."""
        self._everywhere = True
        self._something.set()

    def take(self) -> Noticed:
        """Return what is to be looked at, and forget it."""
        taken = Noticed(frozenset(self._users), self._everywhere)
        self._users.clear()
        self._everywhere = False
        return taken

    async def wait(self) -> None:
        """Return as soon as something was noticed since this returned last."""
        await self._something.wait()
        self._something.clear()
