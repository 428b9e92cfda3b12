"""Who else runs over this Vault: a heartbeat record for each replica, its age told by Vault's clock.

- A replica lives while its heartbeat is younger than `LIVE_SECONDS`. While Vault is silent, whoever
  was seen last counts as living; before the first look one other does.
- Nobody writes another's heartbeat. One that others write into is told of, once.
- A beat that finds something else in its place is written once more, over what was read there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from credbroker.broker.running import Means
from credbroker.broker.walking import pages
from credbroker.domain.errors import RecordDamaged, StoreUnclear
from credbroker.domain.marks import Heartbeat, IssuerCount
from credbroker.ports import RecordStore, StaleVersionError, Stored

LIVE_SECONDS = 35.0
# By then every other replica has read our first heartbeat.
NEWCOMER_SECONDS = 15.0
# A replica that has been gone for longer is not waited for by anybody.
KNOWN_SECONDS = 30 * 86400.0
# Beats are numbered from a place of this life's own, so that they are told from anybody else's.
_LIFE_BITS, _BEAT_BITS = 28, 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """This replica's place among the living: `rank` from 0 in the order of names, of `count`.

    A newcomer is one that the others may not have seen yet.
    """

    rank: int
    count: int
    newcomer: bool


class Replicas:
    """All replicas, as this one sees them."""

    def __init__(self, records: RecordStore[Heartbeat], name: str, means: Means) -> None:
        """Beat as `name`, which no other replica may have, and read the others in `records`."""
        self.name = name
        self._records = records
        self._segment = name_segment(name)
        self._clock = means.clock
        self._life = int(means.entropy.fraction() * 2**_LIFE_BITS) << _BEAT_BITS
        self._beats = self._taken = 0
        self._version: int | None = None
        self._first_beat_at: float | None = None
        self._living: dict[str, Heartbeat] = {}
        self._has_looked = False
        self._looked_at = float("-inf")
        self._fell_back = self._doubled = False

    @property
    def fell_back(self) -> bool:
        """True if the last beat found an earlier beat of this life: Vault was set back."""
        return self._fell_back

    def live(self) -> tuple[str, ...]:
        """Return the names of the living in order, this replica's own among them."""
        return tuple(sorted({self.name, *self._living}))

    def share(self) -> Share:
        """Return this replica's place among the living."""
        if not self._has_looked:
            return Share(0, 2, newcomer=True)
        living = self.live()
        first = self._first_beat_at
        newcomer = first is None or self._clock.elapsed() - first < NEWCOMER_SECONDS
        return Share(living.index(self.name), len(living), newcomer)

    def others(self, issuer: str) -> IssuerCount:
        """Return the sum of what the other living replicas counted at this issuer."""
        counts = [beat.counts[issuer] for beat in self._living.values() if issuer in beat.counts]
        horizons = [count.horizon for count in counts if count.horizon is not None]
        return IssuerCount(
            refreshes=sum(count.refreshes for count in counts),
            dead=sum(count.dead for count in counts),
            horizon=min(horizons, default=None),
        )

    def failing_seconds(self, issuer: str) -> list[float]:
        """Return for how long each other living replica has itself seen this issuer fail.

        Without a recent view there may be one that has seen nothing of it.
        """
        if self._clock.elapsed() - self._looked_at > LIVE_SECONDS:
            return [0.0]
        counts = (beat.counts.get(issuer, IssuerCount()) for beat in self._living.values())
        return [count.failing_seconds for count in counts]

    async def beat(self, counts: Mapping[str, IssuerCount]) -> None:
        """Say that this replica lives, with what it counted by issuer, and look who else does.

        Raises `StoreUnavailable` and its like; the last view stays then.
        """
        self._beats += 1
        await self._say(Heartbeat(self.name, self._life + self._beats, counts))
        looked_at = self._clock.elapsed()
        self._living = await self._read_others()
        self._has_looked, self._looked_at = True, looked_at

    async def _say(self, mine: Heartbeat) -> None:
        if self._version is None:
            found = await self._records.get(self._segment)
            self._version = found.version if found is not None else 0
        older = False
        # What is found in our place may be an old reading; only a write over it proves it.
        for _ in range(2):
            try:
                self._version = await self._records.put(self._segment, mine, self._version)
                break
            except StaleVersionError:
                older = False  # what that was written over was not the newest
                found = await self._records.get(self._segment)
            except StoreUnclear:
                found = await self._records.get(self._segment)
            self._version = found.version if found is not None else 0
            if found is not None and found.value == mine:
                break
            older = self._is_older(found)
        else:
            return
        self._taken, self._fell_back = mine.beat, older
        if self._first_beat_at is None:
            self._first_beat_at = self._clock.elapsed()

    def _is_older(self, found: Stored[Heartbeat] | None) -> bool:
        """Return whether an earlier beat of this life stands where a later one was written."""
        beat = found.value.beat if found is not None else self._life
        if beat >> _BEAT_BITS == self._life >> _BEAT_BITS:
            return beat < self._taken
        if self._taken and not self._doubled:
            self._doubled = True
            log.error(
                "heartbeat_not_ours",
                replica=self.name,
                why="Another replica has the same name, or OpenBao/Vault was restored.",
            )
        return False

    async def _read_others(self) -> dict[str, Heartbeat]:
        living: dict[str, Heartbeat] = {}
        for segment in [one async for page in pages(self._records) for one in page]:
            try:
                stored = await self._records.get(segment)
            except RecordDamaged:
                continue  # one that cannot be read says nothing about the rest
            if stored is None or segment == self._segment:
                continue
            if stored.age_seconds < LIVE_SECONDS:
                living[stored.value.replica] = stored.value
        return living


def name_segment(name: str) -> str:
    """Return the path segment of something that a person named: base64url(SHA-256(name))."""
    digest = hashlib.sha256(name.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
