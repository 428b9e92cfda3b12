"""What is revoked is over at every one of three brokers within five seconds, over a real OpenBao."""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from credbroker.admin.contain import contain, lift
from credbroker.admin.desk import Desk
from credbroker.admin.office import Office, open_office
from credbroker.broker.containing import SILENT_SECONDS
from credbroker.config.load import load
from credbroker.domain.leases import LeaseToken
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native
from tests.integration.broker_world import ACCESS_SECONDS, READ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.demo.openbao import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld, Replica
    from tests.integration.conftest import WorldFactory

WITHIN_SECONDS = 5.0
JOB_SCOPE = "storage.read:/job"


async def three_brokers(world: BrokerWorld) -> list[Replica]:
    """Start three over the same records."""
    return [await world.replica(name) for name in ("one", "two", "three")]


@asynccontextmanager
async def an_office(world: BrokerWorld) -> AsyncIterator[Office]:
    """Open an operator's office, by the clock of the world."""
    desk = Desk(world.clock, SystemEntropy(), io.StringIO(), io.StringIO())
    async with AsyncExitStack() as stack:
        yield await open_office(load(world.write_settings("operator")), desk, stack)


async def served_by_all(brokers: list[Replica], lease: str) -> bool:
    """Tell whether each of them gives a token for this lease."""
    answers = [await broker.token(lease, JOB_SCOPE) for broker in brokers]
    return all(answer.status == 200 for answer in answers)


async def until_over(brokers: list[Replica], lease: str) -> None:
    """Return once each of them says that the lease is over; fail after five seconds."""
    async with asyncio.timeout(WITHIN_SECONDS):
        for broker in brokers:
            while (await broker.token(lease, JOB_SCOPE)).error != "lease_ended":
                await broker.world.clock.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", Kind)
async def test_each_kind_holds_at_each_of_three_brokers_within_five_seconds(
    broker_world: BrokerWorld, kind: Kind
) -> None:
    """In real seconds, on a job's lease that all have just served; later logins count."""
    brokers = await three_brokers(broker_world)
    person = await brokers[0].log_in()
    job = await brokers[0].job_lease(person, job=f"job of {broker_world.issuer_name}")
    assert await served_by_all(brokers, job)
    names = {
        Kind.LEASE: LeaseToken.parse(person).id,
        Kind.PERSON: f"{broker_world.issuer_name}/alice",
        Kind.JOB: f"job of {broker_world.issuer_name}",
        Kind.HOST: "127.0.0.1",
        Kind.ISSUER: broker_world.issuer_name,
    }
    async with an_office(broker_world) as office:
        await contain(office, kind, names[kind], None)
        try:
            await until_over(brokers, job)
            broker_world.clock.leap(CLOCKS_OFF_SECONDS)
            again = await brokers[1].job_lease(await brokers[1].log_in(), job="another")
            assert await served_by_all(brokers, again)
        finally:
            await lift(office, kind, names[kind])  # all worlds here are on one host


@pytest.mark.slow
async def test_a_lease_that_is_ended_at_one_broker_is_over_at_the_others_within_five_seconds(
    broker_world: BrokerWorld,
) -> None:
    """With the jobs' leases made from it, and without the person's grant."""
    brokers = await three_brokers(broker_world)
    person = await brokers[0].log_in()
    job = await brokers[1].job_lease(person)
    assert await served_by_all(brokers, person)
    assert await served_by_all(brokers, job)
    assert (await brokers[2].ask("DELETE", native.LEASE_SELF, person)).status == 204
    for lease in (person, job):
        await until_over(brokers, lease)
    assert broker_world.grant_of().state.value == "ready"


@pytest.mark.slow
async def test_after_thirty_seconds_without_openbao_held_tokens_are_served_and_nothing_else(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """Though the lease's record was read and is known; when OpenBao is back all goes on."""
    world = await open_world(openbao)
    broker = await world.replica()
    lease = await broker.log_in()
    first = await broker.token(lease)
    await asyncio.to_thread(openbao.stop)
    world.clock.leap(SILENT_SECONDS + 1)
    held = await broker.token(lease)
    assert (held.status, held.json["jti"]) == (200, first.json["jti"])
    world.clock.leap(ACCESS_SECONDS / 2)
    assert (await broker.token(lease, READ)).json["jti"] == first.json["jti"]
    assert world.issuer.count_refreshes() == 1
    await asyncio.to_thread(openbao.start)
    async with asyncio.timeout(WITHIN_SECONDS):
        while (await broker.token(lease)).json["jti"] == first.json["jti"]:
            world.clock.leap(1.0)
    assert world.issuer.count_refreshes() == 2
