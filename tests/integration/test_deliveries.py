"""Hosts and their orders over a real OpenBao: what is ordered is delivered, and nothing else.

Hosts join by a key or show certificates over real TLS; whoever is hostile has a host, a login or a
code of their own, and gets nothing by it.
"""

from __future__ import annotations

import asyncio
import io
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from credbroker.admin.desk import Desk
from credbroker.admin.host_join import host_join
from credbroker.admin.office import Office, open_office
from credbroker.broker.containing import Containing
from credbroker.config.load import load
from credbroker.domain.revocations import Kind
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import deliveries, native
from tests.answers import Answer
from tests.integration.broker_world import READ, BrokerWorld, Replica
from tests.integration.test_native_api import Contract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LX1, LX2, OTHER = "lx1", "lx2", "db1"
UID = 1000
NARROW = "storage.read:/home"


def full(world: BrokerWorld, name: str) -> str:
    """Return a host's whole name: worlds share an OpenBao, and no hosts."""
    return f"{name}.{world.issuer_name}.example.org"


def group_of(world: BrokerWorld) -> str:
    """Return the name of the world's one group of hosts."""
    return f"lx-{world.issuer_name}"


def settings_of(world: BrokerWorld) -> dict[str, Any]:
    """Return the settings that say so."""
    return {"hosts": {"groups": {group_of(world): [full(world, "lx*")]}}}


@dataclass
class Machine:
    """A host with a key of its own, as the agent on it would ask."""

    broker: Replica
    short: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    token: str = ""

    @property
    def name(self) -> str:
        """The whole name."""
        return full(self.broker.world, self.short)

    async def join(self, token: str | None = None) -> Answer:
        """Trade a join token, by default a new one of this host's."""
        body = {
            "join_token": token or await join_token(self.broker.world, self.short),
            "public_key": self.key.as_pem(private=False).decode(),
        }
        return await self.broker.ask("POST", deliveries.HOST_JOIN, body=body)

    def assertion(self, **changes: Any) -> str:
        """Sign who this is, with a `jti` that nobody has seen."""
        now, audience = self.broker.world.clock.now(), "https://127.0.0.1:0"
        claims = {
            "iss": self.name, "sub": self.name, "aud": audience,
            "exp": int(now.timestamp()) + 60, "jti": SystemEntropy().token(16),
        }  # fmt: skip
        return jwt.encode({"alg": "ES256"}, claims | changes, self.key)

    async def show(self, assertion: str | None = None) -> Answer:
        """Open a session."""
        body = {"assertion": assertion or self.assertion()}
        answer = await self.broker.ask("POST", deliveries.HOST_SESSIONS, body=body)
        if answer.status == 201:
            self.token = answer.json["host_token"]
        return answer

    async def announce(self, **changes: object) -> dict[str, Any]:
        """Announce an order of a person's; return what came of it."""
        order = {
            "uid": UID, "user": "alice", "issuer": self.broker.world.issuer_name,
            "role": "default", "scopes": [NARROW], "audiences": ["https://se"],
            "replaces_foreign": False,
        }  # fmt: skip
        answer = await self.broker.ask("POST", deliveries.DELIVERIES, self.token, order | changes)
        assert answer.status == 201, answer
        return answer.json

    async def orders(self) -> list[dict[str, Any]]:
        """Return the orders for this host."""
        answer = await self.broker.ask("GET", deliveries.DELIVERIES, self.token)
        assert answer.status == 200, answer
        return list(answer.json["deliveries"])

    async def lease(self, delivery: str) -> Answer:
        """Ask for the lease of an order."""
        path = deliveries.DELIVERY_LEASE.format(id=delivery)
        return await self.broker.ask("POST", path, self.token)

    async def end(self, delivery: str) -> Answer:
        """Give an order up."""
        path = deliveries.DELIVERY.format(id=delivery)
        return await self.broker.ask("DELETE", path, self.token)


@asynccontextmanager
async def an_office(world: BrokerWorld) -> AsyncIterator[tuple[Office, io.StringIO]]:
    """Open an operator's office, by the clock of the world; with what it answers."""
    answered = io.StringIO()
    desk = Desk(world.clock, SystemEntropy(), answered, io.StringIO())
    folder = world.write_settings(f"operator-{SystemEntropy().token(6)}")
    async with AsyncExitStack() as stack:
        yield await open_office(load(folder), desk, stack), answered


async def join_token(world: BrokerWorld, name: str) -> str:
    """Have the operator make a join token."""
    async with an_office(world) as (office, answered):
        await host_join(office, full(world, name))
    return answered.getvalue().strip()


async def a_machine(broker: Replica, name: str = LX1) -> Machine:
    """Return a host that has joined and shown itself."""
    machine = Machine(broker, name)
    assert (await machine.join()).status == 201
    assert (await machine.show()).status == 201
    return machine


async def consent(broker: Replica, lease: str, waits: dict[str, Any], **changes: object) -> Answer:
    """Consent to what was announced; changes with None leave something out."""
    shown = {
        "consent_code": waits["consent_code"], "uid": UID, "user": "alice",
        "scopes": [NARROW], "audiences": ["https://se"], "host": full(broker.world, LX1), **changes,
    }  # fmt: skip
    body = {name: value for name, value in shown.items() if value is not None}
    return await broker.ask("POST", deliveries.CONSENT.format(id=waits["id"]), lease, body)


async def an_order(machine: Machine, lease: str, **changes: Any) -> str:
    """Have an order announced and consented to; return its id."""
    waits = await machine.announce(**changes)
    told = {"host": machine.name} | ({"host": None, **changes} if "group" in changes else {})
    answer = await consent(machine.broker, lease, waits, **told)
    assert answer.status == 200, answer
    return str(waits["id"])


@pytest.fixture
async def broker(broker_world: BrokerWorld) -> Replica:
    """A broker that knows a group of hosts."""
    return await broker_world.replica(more=settings_of(broker_world))


async def test_what_was_ordered_is_delivered_from_join_to_token(broker: Replica) -> None:
    """The whole straight line; the token is within what was consented to, and the lease ends with it."""
    machine = await a_machine(broker)
    lease = await broker.log_in()
    waits = await machine.announce()
    assert await machine.orders() == []
    shown = (await consent(broker, lease, waits)).json
    assert (shown["host"], shown["uid"], shown["scopes"]) == (machine.name, UID, [NARROW])
    assert await machine.orders() == [shown]
    given = (await machine.lease(waits["id"])).json
    token = await broker.token(given["lease_token"], NARROW)
    assert (token.json["scopes"], token.json["audiences"]) == ([NARROW], ["https://se"])
    assert given["ends_at"] <= shown["ends_at"]
    wider = await broker.token(given["lease_token"], READ)
    assert wider.error == "outside_ceiling"
    events = [line["event"] for line in broker.world.audit_lines()]
    for event in ("host_invited", "host_joined", "host_session", "delivery_announced",
                  "delivery_consented", "delivery_lease"):  # fmt: skip
        assert event in events


async def test_a_group_order_goes_to_each_host_of_the_group_and_to_no_other(
    broker: Replica,
) -> None:
    """Each gets a lease of its own; who is not of the group gets none, and cannot order for it."""
    first, second, other = [await a_machine(broker, name) for name in (LX1, LX2, OTHER)]
    lease = await broker.log_in()
    order = await an_order(first, lease, group=group_of(broker.world))
    assert [one["id"] for one in await second.orders()] == [order]
    assert await other.orders() == []
    leases = [(await one.lease(order)).json["lease_token"] for one in (first, second)]
    assert len(set(leases)) == 2
    for one in leases:
        assert (await broker.token(one, NARROW)).status == 200
    assert (await other.lease(order)).error == "not_found"
    assert (await other.end(order)).error == "not_found"
    assert (await second.end(order)).error == "not_allowed"
    body = {"uid": UID, "user": "a", "issuer": broker.world.issuer_name, "role": "default",
            "scopes": [NARROW], "audiences": [], "replaces_foreign": False, "group": group_of(broker.world)}  # fmt: skip
    refused = await broker.ask("POST", deliveries.DELIVERIES, other.token, body)
    assert refused.error == "not_allowed"


async def test_another_hosts_order_is_not_there_for_a_host(broker: Replica) -> None:
    """Not to see, not to lease, not to end, and not to announce in its name."""
    mine, thief = await a_machine(broker), await a_machine(broker, LX2)
    order = await an_order(mine, await broker.log_in())
    assert await thief.orders() == []
    assert (await thief.lease(order)).error == "not_found"
    assert (await thief.end(order)).error == "not_found"
    assert [one["id"] for one in await mine.orders()] == [order]


@pytest.mark.parametrize(
    "lie",
    [
        {"uid": UID + 1}, {"host": LX2}, {"host": None, "group": "lx-issuer"}, {"scopes": [READ]},
        {"scopes": []}, {"audiences": []}, {"audiences": ["https://other"]},
        {"user": "bob"}, {"name": "other"}, {"replaces_foreign": True},
        {"consent_code": "cc_" + "x" * 43},
    ],
    ids=str,
)  # fmt: skip
async def test_consent_is_to_what_was_announced_and_nothing_else(
    broker: Replica, lie: dict[str, Any]
) -> None:
    """A host that announced one thing and shows another gets nothing; the true order still may stand."""
    machine, lease = await a_machine(broker), await broker.log_in()
    waits = await machine.announce()
    assert (await consent(broker, lease, waits, **lie)).status in {403, 404}
    assert await machine.orders() == []
    assert (await consent(broker, lease, waits)).status == 200


async def test_only_a_person_consents_and_only_once(broker: Replica) -> None:
    """Neither a job, nor a host, nor somebody else after the first; the same again is the same."""
    machine = await a_machine(broker)
    alice, bob = await broker.log_in(), await broker.log_in("bob")
    waits = await machine.announce()
    job = await broker.job_lease(alice, scopes=[NARROW])
    assert (await consent(broker, job, waits)).error == "not_allowed"
    assert (await consent(broker, machine.token, waits)).error == "lease_unknown"
    first = await consent(broker, alice, waits)
    assert first.json == (await consent(broker, alice, waits)).json
    assert (await consent(broker, bob, waits)).error == "not_found"
    assert [one["id"] for one in await machine.orders()] == [waits["id"]]
    (own,) = (await broker.ask("GET", deliveries.MY_DELIVERIES, alice)).json["deliveries"]
    assert own == first.json
    assert (await broker.ask("GET", deliveries.MY_DELIVERIES, bob)).json["deliveries"] == []
    path = deliveries.DELIVERY.format(id=waits["id"])
    assert (await broker.ask("DELETE", path, bob)).error == "not_found"


async def test_two_people_with_one_code_make_one_order(broker: Replica) -> None:
    """The first counts; of the other nothing is left."""
    machine = await a_machine(broker)
    people = [await broker.log_in(name) for name in ("alice", "bob")]
    waits = await machine.announce()
    answers = await asyncio.gather(*(consent(broker, one, waits) for one in people))
    assert sorted(answer.status for answer in answers) == [200, 404]
    listed = [(await broker.ask("GET", deliveries.MY_DELIVERIES, one)).json["deliveries"]
              for one in people]  # fmt: skip
    assert sorted(map(len, listed)) == [0, 1]
    assert len(await machine.orders()) == 1


async def test_an_order_waits_ten_minutes_for_consent(broker: Replica) -> None:
    """Then the code is worth nothing."""
    machine, lease = await a_machine(broker), await broker.log_in()
    waits = await machine.announce()
    broker.world.clock.leap(601)
    assert (await consent(broker, lease, waits)).error == "not_found"
    assert await machine.orders() == []


async def test_what_the_login_does_not_give_cannot_be_ordered(broker: Replica) -> None:
    """The person may consent to no more than they have."""
    machine, lease = await a_machine(broker), await broker.log_in()
    waits = await machine.announce(scopes=["storage.modify:/"])
    refused = await consent(broker, lease, waits, scopes=["storage.modify:/"])
    assert refused.error == "outside_ceiling"
    assert await machine.orders() == []


async def test_a_host_token_opens_deliveries_and_nothing_else(broker: Replica) -> None:
    """Whatever else there is takes it for nobody's; a lease in turn is no host."""
    machine, lease = await a_machine(broker), await broker.log_in()
    job = {"job": "j", "scopes": [NARROW], "audiences": ["https://se"], "lifetime_seconds": 60}
    tries = [
        ("POST", native.TOKENS, {"scopes": [NARROW]}), ("POST", native.LEASES, job),
        ("GET", native.LEASE_SELF, None), ("DELETE", native.LEASE_SELF, None),
        ("DELETE", native.GRANT_SELF, None), ("POST", native.LOGIN_POLL, None),
        ("GET", deliveries.MY_DELIVERIES, None), ("GET", native.CONTAINMENT, None),
    ]  # fmt: skip
    for method, path, body in tries:
        assert (await broker.ask(method, path, machine.token, body)).error == "lease_unknown"
    for path in (
        "auth/token/lookup-self",
        f"secret/oauth/creds/{broker.world.issuer_name}/alice:default",
    ):
        answer = await broker.ask("GET", f"/v1/{path}", headers={"X-Vault-Token": machine.token})
        assert answer.status == 403
    for token in (lease, "", "ch_x", f"ch_{'x' * 22}.{'y' * 43}"):
        assert (await broker.ask("GET", deliveries.DELIVERIES, token)).error == "lease_unknown"


async def test_the_lease_for_an_order_makes_no_leases_and_ends_nothing(broker: Replica) -> None:
    """It is a job's: it fetches this order's tokens."""
    machine = await a_machine(broker)
    order = await an_order(machine, await broker.log_in())
    given = (await machine.lease(order)).json["lease_token"]
    job = {"job": "j", "scopes": [NARROW], "audiences": ["https://se"], "lifetime_seconds": 60}
    assert (await broker.ask("POST", native.LEASES, given, job)).error == "not_allowed"
    assert (await broker.ask("DELETE", native.GRANT_SELF, given)).error == "not_allowed"
    assert (await broker.ask("GET", deliveries.MY_DELIVERIES, given)).error == "not_allowed"


async def test_a_host_that_asks_anew_has_one_lease(broker: Replica) -> None:
    """What it had before is over at once."""
    machine = await a_machine(broker)
    order = await an_order(machine, await broker.log_in())
    first, second = [(await machine.lease(order)).json["lease_token"] for _ in range(2)]
    assert (await broker.token(first, NARROW)).error == "lease_ended"
    assert (await broker.token(second, NARROW)).status == 200


async def test_many_orders_come_in_pages(broker: Replica) -> None:
    """What is past the last id that was told comes with the next request."""
    machine, lease = await a_machine(broker), await broker.log_in()
    orders = sorted([await an_order(machine, lease) for _ in range(3)])
    for token, path in ((machine.token, deliveries.DELIVERIES), (lease, deliveries.MY_DELIVERIES)):
        rest = (await broker.ask("GET", f"{path}?after={orders[0]}", token)).json
        assert [one["id"] for one in rest["deliveries"]] == orders[1:]
        assert "more" not in rest


@pytest.mark.parametrize("by", ["person", "host", "logout", "lease"])
async def test_whoever_may_end_an_order_ends_all_that_came_of_it(broker: Replica, by: str) -> None:
    """By the person's word or the host's, by a logout, by the end of the login's lease."""
    machine, lease = await a_machine(broker), await broker.log_in()
    order = await an_order(machine, lease)
    given = (await machine.lease(order)).json["lease_token"]
    assert (await broker.token(given, NARROW)).status == 200
    path = deliveries.DELIVERY.format(id=order)
    if by == "host":
        ended = await machine.end(order)
    else:
        address = {"person": path, "logout": native.GRANT_SELF, "lease": native.LEASE_SELF}[by]
        ended = await broker.ask("DELETE", address, lease)
    assert ended.status in {200, 204}
    assert (await broker.token(given, NARROW)).status in {401, 403}
    assert (await machine.lease(order)).error in {"not_found", "lease_ended"}
    assert await machine.orders() == []


async def test_a_logout_by_another_login_ends_the_order_too(broker: Replica) -> None:
    """The grant is gone, so the order is; a later login does not bring it back."""
    machine, lease = await a_machine(broker), await broker.log_in()
    order = await an_order(machine, lease)
    other = await broker.log_in()
    assert (await broker.ask("DELETE", native.GRANT_SELF, other)).status == 200
    assert (await machine.lease(order)).error in {"login_needed", "lease_ended"}
    assert await machine.orders() == []
    again = await broker.log_in()
    assert (await broker.ask("GET", deliveries.MY_DELIVERIES, again)).json["deliveries"] == []
    assert (await machine.lease(order)).error == "not_found"


async def test_an_order_ends_with_the_login_that_consented(broker: Replica) -> None:
    """However much is asked for it."""
    machine, lease = await a_machine(broker), await broker.log_in()
    order = await an_order(machine, lease)
    broker.world.clock.leap(28 * 86400.0)
    assert (await machine.show()).status == 201
    assert await machine.orders() == []
    assert (await machine.lease(order)).error == "lease_ended"


async def contain(world: BrokerWorld, kind: Kind, name: str) -> None:
    """Contain as an operator does; the clock is then past the minute that this reaches ahead."""
    async with an_office(world) as (office, _):
        await Containing(office.revocations, office.means).revoke(kind, name)
    world.clock.leap(61)


async def lift(world: BrokerWorld, kind: Kind, name: str) -> None:
    """Take that back."""
    async with an_office(world) as (office, _):
        await Containing(office.revocations, office.means).lift(kind, name)


async def learn(broker: Replica) -> None:
    """Have the broker read what is contained, as it does every two seconds."""
    assert broker.daemon is not None
    await broker.daemon.engine.containing.read()


@pytest.mark.parametrize("name", [LX1, "127.0.0.1"])
async def test_a_contained_host_has_nothing_and_gets_nothing(broker: Replica, name: str) -> None:
    """By its name or its address: sessions, leases and its key are over until it joins anew."""
    machine = await a_machine(broker)
    order = await an_order(machine, await broker.log_in())
    given = (await machine.lease(order)).json["lease_token"]
    name = full(broker.world, name) if name == LX1 else name
    await contain(broker.world, Kind.HOST, name)
    await learn(broker)
    answer = await broker.ask("GET", deliveries.DELIVERIES, machine.token)
    assert answer.error == "lease_ended"
    assert (await machine.show()).error == "lease_ended"
    assert (await broker.token(given, NARROW)).error == "lease_ended"
    assert (await machine.join()).status == 201
    assert (await machine.show()).status == 201
    await lift(broker.world, Kind.HOST, name)  # other worlds are at this address, too


async def test_a_contained_person_is_delivered_nothing(broker: Replica) -> None:
    """Neither by the leases there are, nor by new ones."""
    machine = await a_machine(broker)
    order = await an_order(machine, await broker.log_in())
    given = (await machine.lease(order)).json["lease_token"]
    await contain(broker.world, Kind.PERSON, f"{broker.world.issuer_name}/alice")
    await learn(broker)
    assert (await broker.token(given, NARROW)).error == "lease_ended"
    assert (await machine.lease(order)).error == "lease_ended"
    assert await machine.orders() == []


async def test_an_assertion_opens_one_session_at_whichever_broker(broker: Replica) -> None:
    """Shown again, here or at another replica, or at both at once, it is refused."""
    machine = await a_machine(broker)
    second = await broker.world.replica("two", more=settings_of(broker.world))
    body = {"assertion": machine.assertion()}
    answers = await asyncio.gather(
        *(one.ask("POST", deliveries.HOST_SESSIONS, body=body) for one in (broker, second))
    )
    assert sorted(answer.status for answer in answers) == [201, 403]
    token = next(one.json["host_token"] for one in answers if one.status == 201)
    for one in (broker, second):
        assert (await one.ask("POST", deliveries.HOST_SESSIONS, body=body)).error == "not_allowed"
        assert (await one.ask("GET", deliveries.DELIVERIES, token)).status == 200


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": LX2}, {"sub": LX2}, {"iss": LX2, "sub": LX2}, {"aud": "https://elsewhere"},
        {"exp": 0}, {"exp": 4102444800}, {"jti": ""},
    ],
    ids=str,
)  # fmt: skip
async def test_an_assertion_that_says_something_else_opens_nothing(
    broker: Replica, lie: dict[str, Any]
) -> None:
    """Above all not another host's session, which has joined with its own key."""
    machine, _ = await a_machine(broker), await a_machine(broker, LX2)
    told = {
        name: machine.name.replace(LX1, LX2) if one == LX2 else one for name, one in lie.items()
    }
    assert (await machine.show(machine.assertion(**told))).error == "not_allowed"


async def test_a_session_lasts_an_hour(broker: Replica) -> None:
    """Then the host shows itself again."""
    machine = await a_machine(broker)
    broker.world.clock.leap(3601)
    assert (await broker.ask("GET", deliveries.DELIVERIES, machine.token)).error == "lease_ended"
    assert (await machine.show()).status == 201
    assert await machine.orders() == []


async def test_a_join_token_is_good_once(broker: Replica) -> None:
    """For another key it is nothing; the same trade again, after a lost answer, is."""
    token = await join_token(broker.world, LX1)
    mine, thief = Machine(broker, LX1), Machine(broker, LX1)
    assert (await mine.join(token)).json == {"host": mine.name}
    assert (await mine.join(token)).status == 201
    assert (await thief.join(token)).error == "not_allowed"
    assert (await thief.show()).error == "not_allowed"
    assert (await mine.show()).status == 201


async def test_a_join_token_lasts_ten_minutes(broker: Replica) -> None:
    """Nobody finds one that lay about."""
    token = await join_token(broker.world, LX1)
    broker.world.clock.leap(601)
    assert (await Machine(broker, LX1).join(token)).error == "not_allowed"


async def test_no_secret_of_a_host_or_an_order_is_kept_or_written(broker: Replica) -> None:
    """Neither in OpenBao nor in the audit trail: of all of them there are hashes."""
    world = broker.world
    token = await join_token(world, LX1)
    machine = Machine(broker, LX1)
    await machine.join(token)
    await machine.show()
    waits = await machine.announce()
    lease = await broker.log_in()
    await consent(broker, lease, waits)
    given = (await machine.lease(waits["id"])).json["lease_token"]
    secrets = [token, machine.token, given, waits["consent_code"]]
    vault = world.openbao.broker_client().secrets.kv.v2
    kept = str(world.audit_lines())
    for folder, segments in (
        ("deliveries", [waits["id"]]),
        ("sessions", [machine.token[3:25]]),
        ("hosts", [token[3:46]]),
    ):
        for segment in segments:
            found = vault.read_secret_version(
                f"{folder}/{segment}",
                mount_point=world.openbao.mount,
                raise_on_deleted_version=True,
            )
            kept += str(found["data"]["data"])
    for secret in secrets:
        assert secret.partition(".")[2] or secret.startswith("cc_")
        assert (secret.partition(".")[2] or secret[3:]) not in kept


async def test_every_operation_of_hosts_and_orders_answers_as_the_document_says(
    broker: Replica,
) -> None:
    """Each one's success and one of its problems, from join to end."""
    contract = Contract((await broker.ask("GET", native.OPENAPI)).json)
    machine, lease = Machine(broker, LX1), await broker.log_in()
    contract.check("POST", deliveries.HOST_JOIN, await machine.join())
    contract.check("POST", deliveries.HOST_SESSIONS, await machine.show())
    order = {"uid": UID, "user": "alice", "issuer": broker.world.issuer_name, "role": "default",
             "scopes": [NARROW], "audiences": [], "replaces_foreign": False}  # fmt: skip
    announced = await broker.ask("POST", deliveries.DELIVERIES, machine.token, order)
    contract.check("POST", deliveries.DELIVERIES, announced)
    waits = announced.json
    agreed = await consent(broker, lease, waits, audiences=[])
    contract.check("POST", deliveries.CONSENT, agreed)
    calls = [
        ("GET", deliveries.DELIVERIES, machine.token), ("GET", deliveries.MY_DELIVERIES, lease),
        ("POST", deliveries.DELIVERY_LEASE, machine.token), ("DELETE", deliveries.DELIVERY, lease),
    ]  # fmt: skip
    for method, path, token in calls:
        answer = await broker.ask(method, path.replace("{id}", waits["id"]), token)
        contract.check(method, path, answer)
    for method, path in contract.operations():
        if path.startswith(("/api/v1/hosts/", "/api/v1/deliveries")):
            answer = await broker.ask(method, path.replace("{id}", "../x"), "", {"un": "known"})
            contract.check(method, path, answer)
            names = {name for at, on, name in contract.seen if (at, on) == (method, path)}
            assert len(names) == 2, path
