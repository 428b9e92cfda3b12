"""A spool in memory that is full or fails when a test says so. Follows `ports.Spool`."""

from __future__ import annotations

from collections.abc import Mapping

from credbroker.domain.errors import SpoolFull
from credbroker.domain.grants import Grant
from tests.fakes.clock import turns


class FakeSpool:
    """One replica's entries; those of the dead beside it are handed to whoever looks first."""

    def __init__(self, beside: FakeSpool | None = None) -> None:
        """Lie on the same host as `beside`, or on one of its own.

        With `full` true nothing is kept any more.
        """
        self.host: list[FakeSpool] = [] if beside is None else beside.host
        self.host.append(self)
        self.entries: dict[str, Grant] = {}
        self.full = False
        self._place = len(self.host)
        self._kept = 0
        self._dead = False
        self._in_hands_of: FakeSpool | None = None
        self._failures: list[Exception] = []

    def fail_next(self, error: Exception) -> None:
        """Raise `error` at the next call that keeps or looks, before acting; may be queued."""
        self._failures.append(error)

    def die(self) -> None:
        """End the process that this spool belongs to; what it held is left to the others."""
        self._dead = True
        for spool in self.host:
            if spool._in_hands_of is self:
                spool._in_hands_of = None

    async def keep(self, grant: Grant) -> str:
        """Keep a record; see `ports.Spool.keep`."""
        await self._fail_if_due()
        if self.full:
            raise SpoolFull("There is no free place left in this host's spool.")
        self._kept += 1
        entry = f"{self._place}#{self._kept}"
        self.entries[entry] = grant
        return entry

    async def drop(self, entry: str) -> None:
        """Forget an entry; see `ports.Spool.drop`."""
        await turns(1)
        for spool in self._ours():
            spool.entries.pop(entry, None)

    async def left(self) -> Mapping[str, Grant]:
        """Return what the dead left behind; see `ports.Spool.left`."""
        await self._fail_if_due()
        for spool in self.host:
            if spool._dead and spool._in_hands_of is None:
                spool._in_hands_of = self
        return {
            entry: grant
            for spool in self._ours()
            if spool is not self
            for entry, grant in spool.entries.items()
        }

    def _ours(self) -> list[FakeSpool]:
        return [one for one in self.host if one is self or one._in_hands_of is self]

    async def _fail_if_due(self) -> None:
        await turns(1)
        if self._failures:
            raise self._failures.pop(0)
