"""What is revoked is over at every one of three brokers within five seconds, over a real OpenBao.

On both surfaces: the native API and the one of HTVault's clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from credbroker.admin.contain import Wanted, contain, lift, list_contained
from credbroker.admin.desk import Desk
from credbroker.admin.office import Office, open_office
from credbroker.broker.containing import SILENT_SECONDS
from credbroker.config.load import load
from credbroker.demo.issuer import Person
from credbroker.domain.errors import Busy
from credbroker.domain.leases import LeaseToken
from credbroker.domain.revocations import CLOCKS_OFF_SECONDS, Kind, Mark, Revocations
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native
from tests.integration.broker_world import ACCESS_SECONDS, READ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.demo.openbao import OpenBaoServer
    from tests.answers import Answer
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


async def by_vault_token(broker: Replica, lease: str) -> Answer:
    """Ask as a client of HTVault does, for a token of Alice's that is narrow."""
    path = f"/v1/secret/oauth/sts/{broker.world.issuer_name}/alice:default"
    query = f"?scopes={JOB_SCOPE}&audience=https://se"
    return await broker.ask("GET", path + query, headers={"X-Vault-Token": lease})


async def served_by_all(brokers: list[Replica], lease: str) -> bool:
    """Tell whether each of them gives a token for this lease, on both surfaces."""
    answers = [await broker.token(lease, JOB_SCOPE) for broker in brokers]
    answers += [await by_vault_token(broker, lease) for broker in brokers]
    return all(answer.status == 200 for answer in answers)


async def until_over(brokers: list[Replica], lease: str) -> None:
    """Return once each says, on both surfaces, that the lease is over; fail after five seconds."""
    async with asyncio.timeout(WITHIN_SECONDS):
        for broker in brokers:
            while (await broker.token(lease, JOB_SCOPE)).error != "lease_ended":
                await broker.world.clock.sleep(0.1)
            assert (await by_vault_token(broker, lease)).status == 403


# What our own issuer signed is over at the other one within as many: test_issued_refresh.py.
OF_LEASES = [kind for kind in Kind if kind not in {Kind.CLIENT, Kind.TOKEN}]


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_LEASES)
async def test_each_kind_holds_at_each_of_three_brokers_within_five_seconds(
    broker_world: BrokerWorld, kind: Kind
) -> None:
    """In real seconds, on a job's lease that all have just served; a login after it works at once."""
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
        await contain(office, Wanted(kind, names[kind]))
        try:
            await until_over(brokers, job)
            for broker in brokers:  # by now each knows, as within five seconds all do
                assert broker.daemon is not None
                await broker.daemon.engine.containing.read()
            if kind is Kind.HOST:
                broker_world.clock.leap(CLOCKS_OFF_SECONDS)
            again = await brokers[1].job_lease(await brokers[1].log_in(), job="another")
            assert await served_by_all(brokers, again)
        finally:
            # All worlds here are on one host.
            await lift(office, Wanted(kind, names[kind]))


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


@pytest.mark.slow
async def test_an_operator_without_access_to_openbao_contains_a_person_everywhere(
    broker_world: BrokerWorld,
) -> None:
    """By a login of their own, at one broker; the person's job is over at all three in time."""
    bob = Person("bob", "bob's word").subject
    operators = [{"issuer": broker_world.issuer_name, "subject": bob}]
    brokers = [
        await broker_world.replica(name, more={"operators": operators})
        for name in ("one", "two", "three")
    ]
    person = await brokers[0].log_in()
    job = await brokers[1].job_lease(person)
    assert await served_by_all(brokers, job)
    operator = await brokers[2].log_in("bob")
    asked = {"kind": "person", "name": f"{broker_world.issuer_name}/alice", "reason": "drill"}
    rehearsed = await brokers[0].ask(
        "POST", native.CONTAINMENT, operator, {**asked, "dry_run": True}
    )
    assert (rehearsed.json["leases"], rehearsed.json["all_counted"]) == (2, True)
    assert await served_by_all(brokers, job)
    refused = await brokers[0].ask("POST", native.CONTAINMENT, person, asked)
    assert (refused.status, refused.error) == (403, "not_allowed")
    done = await brokers[0].ask("POST", native.CONTAINMENT, operator, asked)
    assert (done.status, done.json["jobs"]) == (200, 1), done
    for lease in (job, person):
        await until_over(brokers, lease)
    assert (await brokers[1].token(operator)).status == 200
    refreshes = broker_world.refreshes_seen()
    assert (await brokers[1].token(await brokers[1].log_in(), READ)).status == 200
    assert broker_world.refreshes_seen() == refreshes + 1
    lines = [line for line in broker_world.audit_lines() if line["event"] == "contained"]
    assert [(line["name"], line["credkey"], line["reason"]) for line in lines] == [
        (asked["name"], "bob", "drill")
    ]


@pytest.mark.slow
async def test_openbao_takes_as_many_marks_as_are_let_in(broker_world: BrokerWorld) -> None:
    """Of the names that take the most room; one more is refused in words."""
    async with an_office(broker_world) as office:
        now = office.means.clock.now()
        mark = Mark.of(now, now + datetime.timedelta(days=1))
        emptied = Revocations(Kind.JOB)
        for fill in ("x", "\U0001f600", '<"', "<"):
            full = emptied
            with contextlib.suppress(Busy):
                for start in range(0, 20_000, 100):
                    names = [
                        f"{at:06}" + fill * (194 // len(fill)) for at in range(start, start + 100)
                    ]
                    full = full.added(dict.fromkeys(names, mark), now)
            stored = await office.revocations.get(Kind.JOB.value)
            version = stored.version if stored is not None else 0
            version = await office.revocations.put(Kind.JOB.value, full, version)
            kept = await office.revocations.get(Kind.JOB.value)
            assert kept is not None
            assert len(kept.value.marks) == len(full.marks) >= 300
            with pytest.raises(Busy):
                full.added({f"{at} more": mark for at in range(10_000)}, now)
            await contain(office, Wanted(Kind.JOB, "one more"))
            stored = await office.revocations.get(Kind.JOB.value)
            assert stored is not None
            await office.revocations.put(Kind.JOB.value, emptied, stored.version)


@pytest.mark.slow
async def test_the_command_says_everything_in_sentences(broker_world: BrokerWorld) -> None:
    """A containment, what is contained, and that it was lifted."""
    async with an_office(broker_world) as office:
        wanted = Wanted(Kind.JOB, "d\u00e4mon & \u6f22\u5b57", reason="drill")
        await contain(office, wanted)
        await list_contained(office)
        await lift(office, wanted)
        assert isinstance(office.desk.out, io.StringIO)
        assert isinstance(office.desk.err, io.StringIO)
        said = office.desk.out.getvalue().splitlines() + office.desk.err.getvalue().splitlines()
        assert all(line.endswith(".") for line in said), said
        assert sum("d\u00e4mon & \u6f22\u5b57" in line for line in said) == 3
