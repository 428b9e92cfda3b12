"""Finds the leases that live on a grant, for whoever shows them or tells of them.

- They are found by what their ids begin with, and by the logins that the grant remembers: nobody looks
  through all leases. So many of a line are looked at, and of more it is only said that there are more.
- Whoever looks, they are read a few at a time; one that cannot be read hides no other.
- A lease lives while it is alive itself, and so is what it was made from, as far as that was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from credbroker.broker.leasing import Leasing
from credbroker.broker.walking import READS_AT_ONCE
from credbroker.domain.errors import LeaseEnded, RecordDamaged
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.names import GrantKey

MOST_LEASES = 500
"""How many leases of one line are looked at."""


@dataclass(frozen=True, slots=True)
class Living:
    """The leases that live in a place; with `more` there are further ones than were looked at."""

    leases: Sequence[Lease]
    more: bool


class LeasesOn:
    """Looks at leases as they are stored now; all who look by the same one take turns."""

    def __init__(self, leasing: Leasing, check_alive: Callable[[Lease], None]) -> None:
        """Read leases of `leasing`; `check_alive` raises `LeaseEnded` for one that is over."""
        self._leasing = leasing
        self._check_alive = check_alive
        self._in_turn = asyncio.Lock()

    async def grant(self, grant: Grant) -> Living:
        """Return what lives on a grant. Raises `StoreUnavailable` kinds, and as `check_alive` does."""
        return await self.place(grant.key, [grant.line], logins_of(grant))

    async def place(
        self, key: GrantKey, lines: Collection[str], logins: Iterable[str] = ()
    ) -> Living:
        """Return what lives on `lines` of the grant at `key`; the ids of `logins` are looked at, too.

        Raises as `grant` does.
        """
        ids, more = [*logins], False
        for line in sorted(lines):
            on_line = await self._leasing.ids_on(line, MOST_LEASES + 1)
            ids += on_line[:MOST_LEASES]
            more = more or len(on_line) > MOST_LEASES
        found = [one for one in await self._read(ids) if one.key == key and one.line in lines]
        return Living(self._living(found), more)

    async def _read(self, ids: Sequence[str]) -> list[Lease]:
        found: list[Lease] = []
        for start in range(0, len(ids), READS_AT_ONCE):
            async with self._in_turn:
                asked = map(self._leasing.known, ids[start : start + READS_AT_ONCE])
                read = await asyncio.gather(*asked, return_exceptions=True)
            for one in read:
                if isinstance(one, Lease):
                    found.append(one)
                elif isinstance(one, BaseException) and not isinstance(one, RecordDamaged):
                    raise one
        return found

    def _living(self, found: Iterable[Lease]) -> list[Lease]:
        by_id = {one.id: one for one in found}
        over = {lease_id for lease_id, one in by_id.items() if not self._is_alive(one)}
        return [one for one in by_id.values() if not over & {one.id, *one.ancestors}]

    def _is_alive(self, lease: Lease) -> bool:
        try:
            self._check_alive(lease)
        except LeaseEnded:
            return False
        return True


def logins_of(grant: Grant) -> list[str]:
    """Return the ids of the leases of its logins that a grant remembers; see `Grant.login_id`."""
    return list(filter(None, [grant.login_id, *grant.earlier_logins]))
