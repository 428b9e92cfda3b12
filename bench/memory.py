"""Stores in memory that keep what Vault would: the bytes of each record, its version, its age."""

from __future__ import annotations

import bisect
import datetime
import json
from typing import TYPE_CHECKING, Generic, TypeVar

from bench.ground import ISSUER, ROLE
from bench.issuer import SCOPES
from bench.quiet import CLIENT_ID, SUBJECT, URL, NoTrail
from credbroker.broker.engine import Engine, Rules, Stores, assemble
from credbroker.broker.logins.taking_in import Enrolment
from credbroker.broker.minting import MintingRules
from credbroker.broker.running import Deeds, Means
from credbroker.domain.errors import Malformed, RecordDamaged
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.keeping import KeepingRules
from credbroker.domain.names import GrantKey
from credbroker.domain.rotation import Custody
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy
from credbroker.ports import Clock, Issuer, StaleVersionError, Stored
from credbroker.wire import marks, records
from credbroker.wire.confirmed import read_confirmed, write_confirmed
from credbroker.wire.narrow import read_narrow, write_narrow
from credbroker.wire.revocations import read_revocations, write_revocations
from credbroker.wire.robots import read_robots, write_robots
from credbroker.wire.ssh_keys import (
    read_seen_nonce,
    read_ssh_keys,
    write_seen_nonce,
    write_ssh_keys,
)
from tests.fakes.host_marks import FakeHostMarks
from tests.fakes.spool import FakeSpool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credbroker.domain.pacing import IssuerLimits
    from credbroker.wire.records import Record

DAY = 86400.0
GRANT_SECONDS = 30 * DAY

T = TypeVar("T")


class BytesInMemory(Generic[T]):
    """Records as JSON, made anew at each reading as if they came over the wire.

    Follows `ports.RecordStore`. Attributes `reads` and `writes` count the calls that got through.
    """

    def __init__(
        self, clock: Clock, write: Callable[[T], Record], read: Callable[[object], T]
    ) -> None:
        """Begin empty; ages are told by `clock`, records are formatted by `write` and `read`."""
        self._clock = clock
        self._write = write
        self._read = read
        self._kept: dict[str, tuple[bytes, int, float]] = {}
        self._in_order: list[str] = []
        self.reads = 0
        self.writes = 0

    async def get(self, segment: str) -> Stored[T] | None:
        """Return the newest version; see `ports.RecordStore.get`."""
        self.reads += 1
        if segment not in self._kept:
            return None
        content, version, at = self._kept[segment]
        try:
            value = self._read(json.loads(content))
        except (ValueError, Malformed):
            raise RecordDamaged("A record in memory is damaged.") from None
        return Stored(value, version, self._clock.elapsed() - at)

    async def put(self, segment: str, value: T, expected_version: int) -> int:
        """Write by check-and-set; see `ports.RecordStore.put`."""
        _, version, _ = self._kept.get(segment, (b"", 0, 0.0))
        if version != expected_version:
            raise StaleVersionError
        content = json.dumps(self._write(value)).encode()
        self._kept[segment] = (content, version + 1, self._clock.elapsed())
        self.writes += 1
        return version + 1

    async def remove(self, segment: str) -> None:
        """Delete a record; see `broker.keeper.clearing.Clearable.remove`."""
        self._kept.pop(segment, None)
        self._in_order = []

    def damage(self, segment: str, content: bytes) -> None:
        """Leave these bytes in a record's place, of the same version and age."""
        _, version, at = self._kept[segment]
        self._kept[segment] = (content, version, at)

    async def segments(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return names in order, past `after`; see `ports.RecordStore.segments`."""
        if len(self._in_order) != len(self._kept):
            self._in_order = sorted(self._kept)
        begin = bisect.bisect_right(self._in_order, after)
        return self._in_order[begin : begin + limit]


def memory_stores(clock: Clock) -> Stores:
    """Return stores that are all in memory, for one replica alone on its host."""
    return Stores(
        grants=BytesInMemory(clock, records.write_grant, records.read_grant),
        leases=BytesInMemory(clock, records.write_lease, records.read_lease),
        logins=BytesInMemory(clock, records.write_login, records.read_login),
        issuer_marks=BytesInMemory(clock, marks.write_issuer_mark, marks.read_issuer_mark),
        heartbeats=BytesInMemory(clock, marks.write_heartbeat, marks.read_heartbeat),
        rewind=BytesInMemory(clock, marks.write_rewind, marks.read_rewind),
        revocations=BytesInMemory(clock, write_revocations, read_revocations),
        narrow=BytesInMemory(clock, write_narrow, read_narrow),
        confirmed=BytesInMemory(clock, write_confirmed, read_confirmed),
        ssh_keys=BytesInMemory(clock, write_ssh_keys, read_ssh_keys),
        seen=BytesInMemory(clock, write_seen_nonce, read_seen_nonce),
        robots=BytesInMemory(clock, write_robots, read_robots),
        spool=FakeSpool(),
        host_marks=FakeHostMarks(),
    )


def memory_engine(
    issuers: Mapping[str, Issuer], clock: Clock, limits: IssuerLimits, deeds: Deeds
) -> tuple[Engine, Stores]:
    """Return one replica over stores in memory, at these issuers by name."""
    stores = memory_stores(clock)
    rules = Rules(
        minting=MintingRules({(name, ROLE): () for name in issuers}, renew_after=0.5),
        limits=dict.fromkeys(issuers, limits),
        custody=Custody(),
        keeping=KeepingRules(),
        login_seconds=28 * DAY,
        longest_job_seconds=7 * DAY,
    )
    means = Means(NoTrail(), clock, SystemEntropy(), deeds)
    roles = {ROLE: ScopeSet.of(SCOPES)}
    enrolments = {
        name: Enrolment(issuer, "preferred_username", roles) for name, issuer in issuers.items()
    }
    return assemble(stores, enrolments, rules, means, "memory"), stores


def fresh_grant(number: int, at: datetime.datetime, issuer: str = ISSUER) -> Grant:
    """Return the ready grant of one person out of many, made `at` that time."""
    return Grant(
        key=GrantKey(issuer, f"person{number:06d}", ROLE),
        line=f"line-{number:017d}",
        issuer_url=URL,
        subject=SUBJECT,
        client_id=CLIENT_ID,
        scopes=ScopeSet.of(SCOPES),
        refresh_token=Secret("refresh token", f"refresh-0-of-forty-three-characters-{number:06d}"),
        generation=1,
        state=GrantState.READY,
        write_id=f"write-{number:016d}",
        created_at=at,
        refreshed_at=at,
        used_at=at,
        refresh_expires_at=at + datetime.timedelta(seconds=GRANT_SECONDS),
        rotated=True,
    )
