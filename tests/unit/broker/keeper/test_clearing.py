"""What is long over is deleted, what is not stays, and grants are nobody's to delete."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace

import pytest
from structlog.typing import EventDict

from bench.memory import BytesInMemory
from credbroker.broker.custody.replicas import Replicas
from credbroker.broker.keeper.clearing import (
    LEASE_KEPT_SECONDS,
    LOGIN_KEPT_SECONDS,
    PAUSE_SECONDS,
    ROUND_SECONDS,
    WAITING_KEPT_SECONDS,
    Cleared,
    Clearing,
)
from credbroker.broker.running import Deeds, Means
from credbroker.domain.confirming import ConfirmedLogin
from credbroker.domain.device import PendingLogin
from credbroker.domain.errors import StoreUnavailable
from credbroker.domain.leases import Lease, end, login_lease
from credbroker.domain.marks import Heartbeat
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.domain.ssh_keys import SeenNonce
from credbroker.wire.confirmed import read_confirmed, write_confirmed
from credbroker.wire.records import read_login, write_login
from credbroker.wire.ssh_keys import read_seen_nonce, write_seen_nonce
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import MemoryRecords
from tests.unit.things import LEASE_TOKEN, grant

DAY = 86400.0
LOGIN_SECONDS = 600.0
AWAY = StoreUnavailable("OpenBao/Vault does not answer.")


class Attic:
    """Records of every kind that is cleared, in the folders they have in life."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.leases = MemoryRecords[Lease](self.clock)
        self.logins = BytesInMemory[PendingLogin](self.clock, write_login, read_login)
        self.confirmed = BytesInMemory[ConfirmedLogin](self.clock, write_confirmed, read_confirmed)
        self.seen = BytesInMemory[SeenNonce](self.clock, write_seen_nonce, read_seen_nonce)
        self.confirmed._kept = self.seen._kept = self.logins._kept
        self.heartbeats = MemoryRecords[Heartbeat](self.clock)

    def clearing(self, name: str = "replica-1") -> Clearing:
        """Return what one replica does."""
        means = Means(FakeAudit(), self.clock, FakeEntropy(), Deeds(self.clock))
        cleared = Cleared(self.leases, self.logins, self.confirmed, self.seen)
        return Clearing(cleared, Replicas(self.heartbeats, name, means), means)

    async def go_round(self, clearing: Clearing | None = None) -> float:
        """Clear once; return how long it took."""
        began = self.clock.elapsed()
        task = asyncio.ensure_future((clearing or self.clearing()).once())
        while not task.done():
            await self.clock.pass_time(PAUSE_SECONDS)
        await task
        return self.clock.elapsed() - began

    @property
    def there(self) -> set[str]:
        """What is left, leases and logins."""
        return {*self.leases._newest, *self.logins._kept}

    async def give_lease(self, name: str = "lease", seconds: float = DAY) -> Lease:
        """Store a lease that lasts so long."""
        token = replace(LEASE_TOKEN, id=name)
        now = self.clock.now()
        lease = login_lease(token, grant().key, "line-1", seconds=seconds, now=now)
        await self.leases.put(name, lease, 0)
        return lease

    async def give_logins(self) -> None:
        """Store a login of each kind, all of which end in ten minutes."""
        now = self.clock.now()
        ends_at = now + datetime.timedelta(seconds=LOGIN_SECONDS)
        pending = PendingLogin(
            id="pending",
            secret_hash="hash",
            issuer="cms",
            role="default",
            scopes=ScopeSet.parse("openid"),
            device_code=Secret("device code", "code"),
            interval_seconds=5.0,
            started_at=now,
            expires_at=ends_at,
            origin="192.0.2.7",
        )
        confirmed = ConfirmedLogin("confirmed", "cms", "default", ends_at)
        await self.logins.put("pending", pending, 0)
        await self.confirmed.put("confirmed", confirmed, 0)
        waiting = replace(confirmed, id="waiting", credkey="ada", pending=grant())
        await self.confirmed.put("waiting", waiting, 0)
        await self.seen.put("seen", SeenNonce("use-1", now), 0)


async def test_a_lease_goes_a_week_after_it_would_have_run_out() -> None:
    """Not a moment before."""
    attic = Attic()
    await attic.give_lease()
    attic.clock.advance(DAY + LEASE_KEPT_SECONDS)
    await attic.go_round()
    assert attic.there == {"lease"}
    await attic.go_round()
    assert not attic.there


async def test_a_lease_that_was_ended_early_stays_for_its_whole_time() -> None:
    """Those that were made from it are refused because it says that it is over."""
    attic = Attic()
    lease = await attic.give_lease(seconds=28 * DAY)
    await attic.leases.put("lease", end(lease, attic.clock.now()), 1)
    attic.clock.advance(28 * DAY)
    await attic.go_round()
    assert attic.there == {"lease"}


async def test_of_logins_nothing_is_left_an_hour_later_but_a_grant_that_waits() -> None:
    """That is revoked at the issuer first; what could not be for a week is forgotten."""
    attic = Attic()
    await attic.give_logins()
    attic.clock.advance(LOGIN_SECONDS + LOGIN_KEPT_SECONDS - 1)
    await attic.go_round()
    assert attic.there == {"pending", "confirmed", "waiting"}
    attic.clock.advance(1)
    await attic.go_round()
    assert attic.there == {"waiting"}
    attic.clock.advance(WAITING_KEPT_SECONDS)
    await attic.go_round()
    assert not attic.there


async def test_no_replicas_clock_alone_deletes_anything() -> None:
    """One that is days ahead takes nobody's login away: the store says that it is new."""
    attic = Attic()
    await attic.give_logins()
    await attic.give_lease()
    attic.clock._now += datetime.timedelta(days=365)
    await attic.go_round()
    assert attic.there == {"pending", "confirmed", "waiting", "seen", "lease"}


async def test_a_lease_that_lives_for_weeks_outlives_a_clock_that_leaps() -> None:
    """Written long enough ago to be over, if only it were a shorter one."""
    attic = Attic()
    await attic.give_lease(seconds=28 * DAY)
    attic.clock.advance(LEASE_KEPT_SECONDS + DAY)
    attic.clock._now += datetime.timedelta(days=365)
    await attic.go_round()
    assert attic.there == {"lease"}


async def test_each_replica_clears_its_own_shards() -> None:
    """Both together clear everything, neither what is the other's."""
    attic = Attic()
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGH":
        await attic.give_lease(letter)
    attic.clock.advance(DAY + LEASE_KEPT_SECONDS + 1)
    pair = [attic.clearing(name) for name in ("replica-1", "replica-2")]
    for _ in range(3):
        attic.clock.advance(10.0)
        for one in pair:
            await one._replicas.beat({})
    await attic.go_round(pair[0])
    assert 0 < len(attic.there) < 34
    await attic.go_round(pair[1])
    assert not attic.there


async def test_records_are_read_a_few_a_second() -> None:
    """The store has better things to do."""
    attic = Attic()
    for number in range(50):
        await attic.give_lease(f"lease-{number}")
    assert await attic.go_round() >= 50 * PAUSE_SECONDS
    assert attic.leases.reads == 50


async def test_a_record_that_cannot_be_read_stays_and_stops_nobody() -> None:
    """It may be from a newer version."""
    attic = Attic()
    await attic.give_logins()
    attic.logins.damage("confirmed", b'{"format": 99}')
    attic.clock.advance(30 * DAY)
    await attic.go_round()
    assert attic.there == {"confirmed"}


async def test_it_goes_round_every_hour_also_after_an_outage(logged: list[EventDict]) -> None:
    """Which is said, and costs one round."""
    attic = Attic()
    await attic.give_lease()
    attic.clock.advance(DAY + LEASE_KEPT_SECONDS + 1)
    attic.leases.fail_next(AWAY, on="segments")
    running = asyncio.ensure_future(attic.clearing().run())
    await attic.clock.pass_time(ROUND_SECONDS)
    assert attic.there == {"lease"}
    await attic.clock.pass_time(ROUND_SECONDS + 1)
    assert not attic.there
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [line["event"] for line in logged] == ["records_not_cleared", "records_cleared"]
