"""What `ports.RecordStore` promises, on the memory stores and on a real OpenBao."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from bench.memory import BytesInMemory
from credbroker.broker.keeper.clearing import Clearable
from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable, StoreUnclear
from credbroker.domain.grants import Grant
from credbroker.domain.leases import Lease
from credbroker.domain.marks import Heartbeat, IssuerMark, RewindMark, SpoolKey
from credbroker.domain.robots import MOST_ROBOTS, Robots
from credbroker.domain.rotation import claim, log_out
from credbroker.domain.secret import Secret
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.host.http import OutgoingHttp
from credbroker.ports import Clock, RecordStore, StaleVersionError
from credbroker.stores.records import (
    check_mount,
    grant_records,
    heartbeat_records,
    issuer_mark_records,
    lease_records,
    rewind_records,
    robot_records,
    spool_key_records,
)
from credbroker.stores.vault import LOGIN_PAUSE_SECONDS, VaultClient
from credbroker.stores.vault_logins import AppRoleLogin
from credbroker.wire.records import read_grant, read_lease, write_grant, write_lease
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.store import MemoryRecords
from tests.fixtures_openbao import admin_hvac
from tests.unit.things import grant, lease

if TYPE_CHECKING:
    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer
    from tests.fixtures_openbao import OpenBaoFactory

T = TypeVar("T")

FIRST = grant()
LEASE = lease()
SECOND = claim(FIRST, "replica-1", "write-2")


def client_of(server: OpenBaoServer, door: OutgoingHttp, clock: Clock | None = None) -> VaultClient:
    """Return the broker's client of a real server."""
    login = AppRoleLogin(
        "approle",
        lambda: Secret("role id", server.role_id_file.read_text().strip()),
        lambda: Secret("secret id", server.secret_id_file.read_text().strip()),
    )
    clock = clock or SystemClock()
    return VaultClient(
        door, [server.address], login, clock=clock, entropy=SystemEntropy(), seconds=5
    )


@pytest.fixture(params=["memory", "bytes in memory", "OpenBao"])
async def records(request: pytest.FixtureRequest) -> AsyncIterator[RecordStore[Grant]]:
    """A store of grants."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    if request.param == "bytes in memory":
        yield BytesInMemory(SystemClock(), write_grant, read_grant)
        return
    server = request.getfixturevalue("shared_openbao")
    async with OutgoingHttp(str(request.getfixturevalue("authority").ca_file)) as door:
        client = client_of(server, door)
        await client.log_in()
        yield grant_records(client, "credbroker")


@pytest.fixture(params=["memory", "bytes in memory", "OpenBao"])
async def leases(request: pytest.FixtureRequest) -> AsyncIterator[Clearable[Lease]]:
    """A store of leases, which may be removed."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    if request.param == "bytes in memory":
        yield BytesInMemory(SystemClock(), write_lease, read_lease)
        return
    server = request.getfixturevalue("shared_openbao")
    async with OutgoingHttp(str(request.getfixturevalue("authority").ca_file)) as door:
        client = client_of(server, door)
        await client.log_in()
        yield lease_records(client, "credbroker")


@pytest.fixture
def segment(request: pytest.FixtureRequest) -> str:
    """A place that no other test uses."""
    return hashlib.sha256(request.node.name.encode()).hexdigest()


async def test_what_was_never_written_is_none(records: RecordStore[Grant], segment: str) -> None:
    """And not an error."""
    assert await records.get(segment) is None


async def test_what_was_written_comes_back(records: RecordStore[Grant], segment: str) -> None:
    """The newest version of it, with its number, and young."""
    assert await records.put(segment, FIRST, 0) == 1
    assert await records.put(segment, SECOND, 1) == 2
    stored = await records.get(segment)
    assert stored is not None
    assert (stored.value, stored.version) == (SECOND, 2)
    assert 0 <= stored.age_seconds < 30


@pytest.mark.parametrize("wrong", [0, 2, 7])
async def test_a_write_of_a_wrong_version_writes_nothing(
    records: RecordStore[Grant], segment: str, wrong: int
) -> None:
    """Neither over an older one nor ahead of a newer."""
    await records.put(segment, FIRST, 0)
    with pytest.raises(StaleVersionError):
        await records.put(segment, SECOND, wrong)
    stored = await records.get(segment)
    assert stored is not None
    assert (stored.value, stored.version) == (FIRST, 1)


async def test_a_first_write_must_say_that_it_is_the_first(
    records: RecordStore[Grant], segment: str
) -> None:
    """A paused writer cannot bring a record into being."""
    with pytest.raises(StaleVersionError):
        await records.put(segment, FIRST, 1)
    assert await records.get(segment) is None


async def test_one_of_many_writers_wins(records: RecordStore[Grant], segment: str) -> None:
    """All from the same version; each other one is told that it is stale."""
    await records.put(segment, FIRST, 0)
    claims = [claim(FIRST, f"replica-{number}", f"write-{number}") for number in range(8)]
    outcomes = await asyncio.gather(
        *(records.put(segment, one, 1) for one in claims), return_exceptions=True
    )
    assert outcomes.count(2) == 1
    assert sum(isinstance(one, StaleVersionError) for one in outcomes) == 7
    stored = await records.get(segment)
    assert stored is not None
    assert stored.value == claims[outcomes.index(2)]


async def test_a_tombstone_goes_on_counting(records: RecordStore[Grant], segment: str) -> None:
    """Versions never start again, so an old writer never hits the next person's record."""
    await records.put(segment, FIRST, 0)
    await records.put(segment, log_out(FIRST, "write-2"), 1)
    assert await records.put(segment, dataclasses.replace(FIRST, line="line-2"), 2) == 3
    for stale in (0, 1, 2):
        with pytest.raises(StaleVersionError):
            await records.put(segment, SECOND, stale)


async def test_records_do_not_know_each_other(records: RecordStore[Grant], segment: str) -> None:
    """Each has versions of its own."""
    await records.put(segment, FIRST, 0)
    await records.put(segment + "-2", SECOND, 0)
    stored = await records.get(segment)
    assert stored is not None
    assert stored.value == FIRST


async def test_segments_come_in_order_and_in_pages(
    records: RecordStore[Grant], segment: str
) -> None:
    """All that have a record, tombstones too, each once, until an empty page says the end."""
    names = [f"{segment}-{letter}" for letter in "-09AZ_az"]
    for name in reversed(names):
        await records.put(name, FIRST, 0)
    await records.put(names[0], log_out(FIRST, "write-2"), 1)
    found: list[str] = []
    while page := await records.segments(found[-1] if found else segment, 3):
        found += page
    mine = [name for name in found if name.startswith(segment)]
    assert mine == names
    assert found == sorted(found)
    assert set(names) <= set(await records.segments())


async def test_what_was_removed_is_as_if_it_had_never_been(
    leases: Clearable[Lease], segment: str
) -> None:
    """Also for its versions; what is not there may be removed."""
    await leases.remove(segment)
    await leases.put(segment, LEASE, 0)
    await leases.put(segment, LEASE, 1)
    await leases.remove(segment)
    assert await leases.get(segment) is None
    assert segment not in await leases.segments()
    with pytest.raises(StaleVersionError):
        await leases.put(segment, LEASE, 2)
    assert await leases.put(segment, LEASE, 0) == 1


async def test_no_records_have_no_segments(records: RecordStore[Grant]) -> None:
    """Beyond the last one there is an empty page and no error."""
    assert await records.segments("~") == []


async def test_the_fake_fails_when_told_to(segment: str) -> None:
    """Before acting, or after: the two things that an unclear write may mean."""
    fake: MemoryRecords[Grant] = MemoryRecords()
    fake.fail_next(StoreUnavailable("Down."), on="segments")
    with pytest.raises(StoreUnavailable):
        await fake.segments()
    fake.fail_next(StoreUnclear("Lost."), on="put")
    fake.fail_next(StoreUnclear("Lost."), on="put", acted=True)
    for expected in (None, FIRST):
        with pytest.raises(StoreUnclear):
            await fake.put(segment, FIRST, 0)
        stored = await fake.get(segment)
        assert (stored.value if stored else None) == expected


# The real one alone


async def test_a_grants_record_cannot_be_removed(
    shared_openbao: OpenBaoServer, authority: Any, segment: str
) -> None:
    """The broker's policy does not let it."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(shared_openbao, door)
        await client.log_in()
        grants = grant_records(client, "credbroker")
        await grants.put(segment, FIRST, 0)
        with pytest.raises(StoreMisconfigured):
            await grants.remove(segment)
        assert await grants.get(segment) is not None


async def test_the_brokers_policy_reaches_every_kind_of_record(
    shared_openbao: OpenBaoServer, authority: Any
) -> None:
    """Each can be written, read and, where a broker looks for all of them, listed."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(shared_openbao, door)
        await client.log_in()
        key = SpoolKey("public", Secret("spool key", "private"))
        await reach(issuer_mark_records(client, "credbroker"), IssuerMark("egi"))
        await reach(heartbeat_records(client, "credbroker"), Heartbeat("replica-1", 7))
        assert await issuer_mark_records(client, "credbroker").segments() == ["x"]
        assert await heartbeat_records(client, "credbroker").segments() == ["x"]
        await reach(rewind_records(client, "credbroker"), RewindMark(3), "rewind")
        await reach(spool_key_records(client, "credbroker"), key, "spool-key")


async def reach(records: RecordStore[T], value: T, segment: str = "x") -> None:
    """Write a record, twice, and read it."""
    assert await records.put(segment, value, 0) == 1
    assert await records.put(segment, value, 1) == 2
    stored = await records.get(segment)
    assert stored is not None
    assert stored.value == value


@pytest.mark.slow
async def test_an_expired_login_recovers_by_itself(
    openbao_factory: OpenBaoFactory, authority: Any, segment: str
) -> None:
    """Incident 16, for real: nobody renews, the token dies, and the next requests work again."""
    server = openbao_factory(token_ttl_seconds=1, token_max_ttl_seconds=1)
    async with OutgoingHttp(str(authority.ca_file)) as door:
        clock = LeapingClock()
        client = client_of(server, door, clock)
        await client.log_in()
        records = grant_records(client, "credbroker")
        first = client._token
        await records.put(segment, FIRST, 0)
        await SystemClock().sleep(1.3)
        clock.leap(LOGIN_PAUSE_SECONDS)
        assert await records.put(segment, SECOND, 1) == 2
        await SystemClock().sleep(1.3)
        clock.leap(LOGIN_PAUSE_SECONDS)
        stored = await records.get(segment)
        assert stored is not None
        assert stored.value == SECOND
        assert client._token != first


async def test_a_real_mount_with_loose_rules_is_refused(
    openbao: OpenBaoServer, authority: Any
) -> None:
    """As it is set up it passes; with KV's defaults, or no limit, it does not."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(openbao, door)
        await client.log_in()
        await check_mount(client, "credbroker")
        for loose in ({"cas_required": False}, {"max_versions": 0}, {"max_versions": 10}):
            rules = {"cas_required": True, "max_versions": 1} | loose
            admin_hvac(openbao).write_data("credbroker/config", data=rules)
            with pytest.raises(StoreMisconfigured):
                await check_mount(client, "credbroker")
        with pytest.raises(StoreMisconfigured):
            await check_mount(client, "elsewhere")


async def test_a_restarted_server_is_found_again(openbao: OpenBaoServer, authority: Any) -> None:
    """By the same client, with the login it has, and all that was stored."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(openbao, door)
        await client.log_in()
        records = grant_records(client, "credbroker")
        await records.put("x", FIRST, 0)
        await asyncio.to_thread(openbao.restart)
        assert await records.put("x", SECOND, 1) == 2


async def test_openbao_takes_as_many_robots_as_one_person_may_have(
    shared_openbao: OpenBaoServer, authority: Authority
) -> None:
    """It refuses a request with more than a thousand texts in it."""
    async with OutgoingHttp(str(authority.ca_file)) as door:
        client = client_of(shared_openbao, door)
        await client.log_in()
        records = robot_records(client, "credbroker")
        robots = Robots("cms", "ada")
        for number in range(MOST_ROBOTS):
            robots = robots.added(f"ada/{number}", "default")
        await records.put("many-robots", robots, 0)
        found = await records.get("many-robots")
    assert found is not None
    assert found.value == robots
