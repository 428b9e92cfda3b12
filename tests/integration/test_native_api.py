"""The native API as it is served: the whole line, and what it answers to everything else."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from credbroker.client.address import parse_address
from credbroker.client.blocking import Door
from credbroker.client.broker import Broker
from credbroker.demo.issuer import Person
from credbroker.domain.errors import IssuerUnreachable, LeaseEnded, LeaseUnknown, NotAllowed
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native
from credbroker.wire.choosing import NOTICES
from credbroker.wire.native import AskLease, AskToken, StartLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.answers import Answer
    from tests.integration.broker_world import BrokerWorld, Replica

JOB_SCOPE, JOB_AUDIENCE = "storage.read:/job", "https://se"
FIRST_LINK = "0" * 64


@pytest.fixture
async def broker(broker_world: BrokerWorld) -> Replica:
    """One broker."""
    return await broker_world.replica()


def client_of(broker: Replica) -> Broker:
    """Return the client that commands and agents use, without a lease."""
    clock = SystemClock()
    door = Door(parse_address(broker.url), clock, str(broker.world.authority.ca_file))
    return Broker(door.send, clock, SystemEntropy())


# The whole line


async def test_a_person_logs_in_once_and_a_job_gets_its_own_narrow_tokens(
    broker_world: BrokerWorld, broker: Replica
) -> None:
    """Login, token, job lease, narrowed token, status, end of the lease, logout; by our client."""
    client = client_of(broker)
    offered = await asyncio.to_thread(client.issuers)
    assert [one.name for one in offered.issuers] == [broker_world.issuer_name]

    started = await asyncio.to_thread(client.start_login, StartLogin(broker_world.issuer_name))
    person = client.under(started.login_token)
    assert not (await asyncio.to_thread(person.poll_login)).done
    broker_world.issuer.approve(started.user_code, "alice")
    broker_world.clock.leap(started.interval_seconds)
    state = await asyncio.to_thread(person.poll_login)
    assert (state.done, state.credkey) == (True, "alice")

    whole = await asyncio.to_thread(person.ask_token, AskToken())
    assert whole.token.scopes.texts() == ["storage.read:/", "storage.create:/"]
    asked = AskLease("job 1", [JOB_SCOPE], [JOB_AUDIENCE], 3600)
    given = await asyncio.to_thread(person.ask_lease, asked)
    job = client.under(given.lease_token)
    narrow = await asyncio.to_thread(job.ask_token, AskToken())
    assert (narrow.token.scopes.texts(), narrow.token.audiences) == ([JOB_SCOPE], (JOB_AUDIENCE,))

    status = await asyncio.to_thread(job.lease_status)
    assert (status.job, status.grant_state, status.scopes) == ("job 1", "ready", [JOB_SCOPE])
    await asyncio.to_thread(job.end_lease)
    with pytest.raises(LeaseEnded):
        await asyncio.to_thread(job.ask_token, AskToken())
    await asyncio.to_thread(person.ask_token, AskToken())

    gone = await asyncio.to_thread(person.log_out)
    assert gone.valid_until is not None
    with pytest.raises(LeaseEnded):
        await asyncio.to_thread(person.ask_token, AskToken())
    held = broker_world.issuer.refresh_tokens_issued[-1]
    assert broker_world.grant_of().refresh_token is None
    assert len(broker_world.issuer.posts_of(held)) == 0


async def test_a_jobs_lease_can_fetch_the_jobs_tokens_and_nothing_else(broker: Replica) -> None:
    """It makes no leases, logs nobody out, and gets nothing beyond its right."""
    job = await broker.job_lease(await broker.log_in())
    more = {"job": "2", "scopes": [JOB_SCOPE], "audiences": [JOB_AUDIENCE], "lifetime_seconds": 60}
    for refused in (
        await broker.ask("POST", native.LEASES, job, more),
        await broker.ask("DELETE", native.GRANT_SELF, job),
    ):
        assert (refused.status, refused.error) == (403, NotAllowed.code)
    for wider in (["storage.read:/"], ["storage.read:/jobs"], ["storage.create:/job"]):
        assert (await broker.token(job, *wider)).error == "outside_ceiling"
    other = await broker.token(job, JOB_SCOPE, audiences=["https://other"])
    assert other.error == "outside_ceiling"
    assert (await broker.token(job, "storage.read:/job/below")).status == 200


async def test_a_logout_ends_every_lease_of_the_line_at_every_replica_within_five_seconds(
    broker_world: BrokerWorld, broker: Replica
) -> None:
    """Another replica has just served both leases from memory; five seconds later it does not."""
    other = await broker_world.replica("two")
    person = await broker.log_in()
    leases = [person, await broker.job_lease(person)]
    for lease in leases:
        assert (await other.token(lease, JOB_SCOPE)).status == 200
    assert (await broker.ask("DELETE", native.GRANT_SELF, person)).status == 200
    broker_world.clock.leap(5.0)
    for lease in leases:
        for replica in (broker, other):
            refused = await replica.token(lease, JOB_SCOPE)
            assert refused.error in {"lease_ended", "login_needed"}


async def test_an_ended_lease_takes_those_made_from_it_along(broker: Replica) -> None:
    """The person ends the login's lease; the job's lease is over, the grant is not."""
    person = await broker.log_in()
    job = await broker.job_lease(person)
    assert (await broker.ask("DELETE", native.LEASE_SELF, person)).status == 204
    assert (await broker.token(job, JOB_SCOPE)).error == "lease_ended"
    assert broker.world.grant_of().state.value == "ready"


# The document


class Contract:
    """Holds live answers against the served document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str, str]] = set()

    def operations(self) -> set[tuple[str, str]]:
        """Return every (method, path) described."""
        paths = self.document["paths"].items()
        return {(method.upper(), path) for path, entry in paths for method in entry}

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Fail unless the answer is as described, with no field that is not."""
        responses = self.document["paths"][path][method.lower()]["responses"]
        name = str(answer.status) if str(answer.status) in responses else "default"
        self.seen.add((method, path, name))
        if "content" not in responses[name]:
            assert answer.body == b""
            return
        assert answer.headers["Content-Type"].startswith("application/json")
        schema = responses[name]["content"]["application/json"]["schema"]
        self.validate(schema, answer.json)
        described = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert set(answer.json) <= set(described["properties"])

    def validate(self, schema: dict[str, Any], value: object) -> None:
        """Fail unless `value` follows one of the document's schemas."""
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
            value
        )


async def test_the_served_document_is_openapi_and_describes_exactly_the_routes(
    broker: Replica,
) -> None:
    """OpenAPI 3.1 by an independent validator; no route is missing and none is made up."""
    served = await broker.ask("GET", native.OPENAPI)
    assert served.json["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(served.json).iter_errors()) == []
    assert broker.daemon is not None
    routes = {
        (route.method, route.resource.canonical)
        for route in broker.daemon.app.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith("/api/")
        and route.method != "HEAD"  # comes with every GET
    }
    assert routes - {("GET", native.OPENAPI)} == Contract(served.json).operations()


async def test_a_token_is_known_as_the_issuers_and_a_changed_one_is_not(broker: Replica) -> None:
    """By the keys that the issuer publishes."""
    person = await broker.log_in()
    value = (await broker.ask("POST", native.TOKENS, person)).json["access_token"]
    signed, _, signature = value.rpartition(".")
    changed = f"{signed}.{signature[::-1]}"
    for one, verified in ((value, True), (changed, False)):
        told = await broker.ask("POST", native.TOKENS_INSPECT, person, {"access_token": one})
        assert told.json["verified"] is verified


async def test_every_operation_answers_as_the_document_says(broker_world: BrokerWorld) -> None:
    """Each one's success and one of its problems are held against their schemas."""
    carol = {"issuer": broker_world.issuer_name, "subject": Person("carol", "").subject}
    broker = await broker_world.replica(more={"operators": [carol]})
    contract = Contract((await broker.ask("GET", native.OPENAPI)).json)
    person = await broker.log_in()
    asked_login = {"issuer": broker.world.issuer_name}
    asked_lease = {
        "job": "1",
        "scopes": [JOB_SCOPE],
        "audiences": [JOB_AUDIENCE],
        "lifetime_seconds": 60,
    }
    given = await broker.ask("POST", native.TOKENS, person)
    operator = await broker.log_in("carol")
    asked_containment = {"kind": "job", "name": "a job that is none", "reason": "drill"}
    calls: list[tuple[str, str, str, object]] = [
        ("GET", native.ISSUERS, "", None),
        ("POST", native.LOGINS, "", asked_login),
        ("POST", native.LOGIN_POLL, person, None),
        ("POST", native.TOKENS, person, {"scopes": [JOB_SCOPE], "minimum_seconds": 60}),
        ("POST", native.TOKENS_BATCH, "", {"entries": [{"lease_token": person}]}),
        ("POST", native.TOKENS_INSPECT, person, {"access_token": given.json["access_token"]}),
        ("POST", native.LEASES, person, asked_lease),
        ("GET", native.LEASE_SELF, person, None),
        ("POST", native.CONTAINMENT, operator, asked_containment),
        ("GET", native.CONTAINMENT, operator, None),
        ("PUT", NOTICES, person, {"mail": False}),
        ("GET", NOTICES, person, None),
        ("DELETE", native.GRANT_SELF, await broker.log_in("bob"), None),
        ("DELETE", native.LEASE_SELF, person, None),
    ]
    # Hosts and their orders are asked in `tests/integration/test_deliveries.py`.
    elsewhere = ("/api/v1/hosts/", "/api/v1/deliveries")
    here = {one for one in contract.operations() if not one[1].startswith(elsewhere)}
    assert {(method, path) for method, path, _, _ in calls} == here
    for method, path, lease, body in calls:
        described = contract.document["paths"][path][method.lower()]
        if body is not None:
            content = described["requestBody"]["content"]["application/json"]
            contract.validate(content["schema"], body)
        contract.check(method, path, await broker.ask(method, path, lease, body))
        if path != native.ISSUERS:
            contract.check(method, path, await broker.ask(method, path, "", {"un": "known"}))
    answered = {(method, path) for method, path, name in contract.seen if name != "default"}
    refused = {(method, path) for method, path, name in contract.seen if name == "default"}
    assert answered == here
    assert refused == here - {("GET", native.ISSUERS)}


async def test_a_batch_brings_each_lease_its_own_tokens(broker: Replica) -> None:
    """As they would come one by one, over the address that agents ask; one unknown lease aside."""
    person = await broker.log_in()
    job = await broker.job_lease(person)
    unknown = f"cb_{'a' * 22}.{'a' * 43}"
    entries = [{"lease_token": one} for one in (person, unknown, job)]
    answer = await broker.ask("POST", native.TOKENS_BATCH, body={"entries": entries})
    whole, refused, narrow = native.TokensGiven.read(answer.body).entries
    assert whole.given is not None
    assert narrow.given is not None
    assert (narrow.given.scopes, narrow.given.audiences) == ([JOB_SCOPE], [JOB_AUDIENCE])
    assert whole.given.jti == (await broker.ask("POST", native.TOKENS, person)).json["jti"]
    assert refused.problem is not None
    assert refused.problem.error == LeaseUnknown.code
    lines = [one for one in broker.world.audit_lines() if one["event"] in {"mint", "refused"}]
    request_id = refused.problem.request_id
    assert {one["event"] for one in lines if one["request_id"] == request_id} == {"mint", "refused"}


# Problems


BAD_BODIES: dict[str, bytes] = {
    "not JSON": b"{",
    "empty": b"",
    "no object": b"[]",
    "unknown key": b'{"scopes": [], "audience": "x"}',
    "key twice": b'{"minimum_seconds": 1, "minimum_seconds": 2}',
    "wrong type": b'{"scopes": "storage.read:/"}',
    "no number": b'{"minimum_seconds": NaN}',
    "negative": b'{"minimum_seconds": -1}',
    "huge number": b'{"minimum_seconds": 1e400}',
    "NUL": b'{"scopes": ["storage.read:/\\u0000"]}',
    "raw NUL": b'{"scopes": ["storage.read:/\x00"]}',
    "no UTF-8": b'{"scopes": ["\xff\xfe"]}',
    "half a character": b'{"scopes": ["\\ud800"]}',
    "escape codes": b'{"\\u001b[2J": 1}',
    "deep": b"[" * 30_000,
}


async def test_a_request_that_cannot_be_read_is_answered_with_a_problem(broker: Replica) -> None:
    """400, one sentence, a remedy and the request's id; never a stack trace, never its own text."""
    lease = await broker.log_in()
    for name, body in BAD_BODIES.items():
        answer = await broker.ask("POST", native.TOKENS, lease, body)
        if name == "empty":
            assert answer.status == 200, "an empty body means everything that the lease allows"
            continue
        assert (answer.status, answer.error) == (400, "malformed"), name
        check_problem(answer)


async def test_names_that_are_not_served_are_refused_whatever_they_hold(broker: Replica) -> None:
    """An issuer or job with control characters in it reaches neither a log line nor a path."""
    for name in ("nobody", "../x", "\x00", "\x1b[2J", "x" * 60_000):
        answer = await broker.ask("POST", native.LOGINS, body={"issuer": name})
        assert answer.error in {"not_found", "malformed"}
        check_problem(answer)
    lease = await broker.log_in()
    for job in ("", "\x00", "two\nlines", "x" * 201):
        asked = {
            "job": job,
            "scopes": [JOB_SCOPE],
            "audiences": [JOB_AUDIENCE],
            "lifetime_seconds": 60,
        }
        answer = await broker.ask("POST", native.LEASES, lease, asked)
        assert answer.error == "malformed"
        check_problem(answer)


@pytest.mark.parametrize(
    ("method", "path", "size", "status"),
    [
        ("GET", "/", 0, 404),
        ("GET", "/api/v1/leases/%00", 0, 404),
        ("GET", "/api/v1/../../etc/passwd", 0, 404),
        ("PUT", native.TOKENS, 0, 405),
        ("GET", native.TOKENS, 0, 405),
        ("POST", native.LOGINS, 64 * 1024 + 1, 413),
        ("POST", native.LOGINS, 512 * 1024, 413),
    ],
)
async def test_what_is_not_offered_is_a_problem_with_its_usual_status(
    broker: Replica, method: str, path: str, size: int, status: int
) -> None:
    """No such address, no such method (with what is allowed), too much of a body."""
    body = b'{"issuer": "' + b"x" * size + b'"}' if size else None
    answer = await broker.ask(method, path, body=body)
    assert answer.status == status
    assert ("Allow" in answer.headers) is (status == 405)
    check_problem(answer)


def check_problem(answer: Answer) -> None:
    """Fail unless this is a problem as they all are."""
    assert set(answer.json) == {"error", "message", "remedy", "request_id"}
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    for word in (b"Traceback", b"File ", b".py", b"aiohttp", b"\\u0000", b"\\u001b"):
        assert word not in answer.body
    assert len(answer.body) < 1024


async def test_a_lease_counts_in_its_header_alone(broker: Replica) -> None:
    """Not in the address, where it would be logged, nor in a cookie or a form."""
    lease = await broker.log_in()
    for place in (f"?access_token={lease}", f"?lease={lease}", f"/{lease}"):
        assert (await broker.ask("GET", native.LEASE_SELF + place)).status in {401, 404}
    for headers in (
        {"Cookie": f"access_token={lease}"},
        {"Authorization": lease},
        {"Authorization": f"Basic {lease}"},
        {"X-Vault-Token": lease},
    ):
        answer = await broker.ask("GET", native.LEASE_SELF, headers=headers)
        assert (answer.status, answer.error) == (401, LeaseUnknown.code)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_lease_with_a_wrong_secret_is_as_unknown_as_one_never_given(
    broker: Replica,
) -> None:
    """The two answers are the same, word by word."""
    lease = await broker.log_in()
    known, _, secret = lease.partition(".")
    turned = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
    said = []
    for shown in (f"{known}.{turned}", f"cb_{'A' * 22}.{secret}"):
        answer = await broker.token(shown)
        assert answer.status == 401
        said.append({**answer.json, "request_id": ""})
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("abcdefgh", True),
        ("a-b_c-1234", True),
        ("short", False),
        ("x" * 65, False),
        ("a b c d e", False),
    ],
)
async def test_a_callers_request_id_is_taken_over_if_it_is_harmless(
    broker: Replica, given: str, taken: bool
) -> None:
    """It is in the answer; else the broker makes one. No answer is cached or sniffed."""
    answer = await broker.ask("GET", native.ISSUERS, headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) is taken
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# The trail


async def test_the_trail_is_one_chain_with_one_line_for_each_deed(broker: Replica) -> None:
    """Login, refresh, mint, lease, refusal, end, logout; each by the request id of its answer."""
    person = await broker.log_in()
    minted = await broker.token(person)
    again = await broker.token(person)
    job = await broker.job_lease(person)
    refused = await broker.token(job, "storage.read:/")
    unknown = await broker.token(f"cb_{'A' * 22}.{'B' * 43}")
    ended = await broker.ask("DELETE", native.LEASE_SELF, job)
    out = await broker.ask("DELETE", native.GRANT_SELF, person)

    (file,) = (broker.world.folder / "audit").glob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    check_chain(file.read_bytes())
    lines = broker.world.audit_lines()
    assert Counter(line["event"] for line in lines) == {
        "login_started": 1, "login": 1, "refresh_begun": 1, "refresh": 1, "mint": 1, "delivery": 1, "lease_made": 1,
        "refused": 2, "lease_ended": 2, "logout": 1,
    }  # fmt: skip
    written = {(line.get("request_id"), line["event"]) for line in lines}
    for answer, event in (
        (minted, "mint"), (again, "delivery"), (refused, "refused"), (unknown, "refused"),
        (ended, "lease_ended"), (out, "lease_ended"), (out, "logout"),
    ):  # fmt: skip
        assert (answer.headers["X-Request-Id"], event) in written
    of_refusal = next(line for line in lines if line["event"] == "refused")
    assert of_refusal["lease"] in job
    assert (of_refusal["error"], of_refusal["address"]) == ("outside_ceiling", "127.0.0.1")
    given = [line for line in lines if line["event"] in {"mint", "delivery"}]
    assert {line["jti"] for line in given} == {minted.json["jti"]}


def check_chain(trail: bytes) -> None:
    """Fail unless each line carries the SHA-256 of the one before it."""
    link = FIRST_LINK
    for line in trail.splitlines():
        assert json.loads(line)["previous"] == link
        link = hashlib.sha256(line).hexdigest()


async def test_nothing_is_given_out_that_cannot_be_written_down(
    broker: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk a token stays inside and a refusal says why it is one; then all is well."""
    lease = await broker.log_in()
    full = _full_disk(monkeypatch)
    asked: list[Callable[[], Any]] = [
        lambda: broker.token(lease),
        lambda: broker.token(f"cb_{'A' * 22}.{'B' * 43}"),
    ]
    for ask in asked:
        answer = await ask()
        assert (answer.status, answer.error) == (503, "audit_unavailable")
        assert b"eyJ" not in answer.body
    full.undo()
    assert (await broker.token(lease)).status == 200
    (file,) = (broker.world.folder / "audit").glob("*.jsonl")
    check_chain(file.read_bytes())


def _full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def no_room(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("credbroker.telemetry.audit.os.fsync", no_room)
    return monkeypatch


# Probes


async def test_the_probes_need_no_lease_and_say_who_is_fit(broker: Replica) -> None:
    """Alive, and ready until it is told to stop."""
    assert (await broker.ask("GET", "/livez")).json == {"live": True}
    assert (await broker.ask("GET", "/readyz")).json == {"ready": True, "troubles": []}
    assert broker.daemon is not None
    broker.daemon.troubles.append("This replica is stopping.")
    draining = await broker.ask("GET", "/readyz")
    assert (draining.status, draining.json["ready"]) == (503, False)


async def test_an_issuer_that_is_down_shows_in_health_metrics_and_status(
    broker_world: BrokerWorld, broker: Replica
) -> None:
    """To operators without a lease, to the person by it; the replica stays ready."""
    lease = await broker.log_in()
    name = broker_world.issuer_name
    token = await broker.token(lease)
    well = await broker.ask("GET", native.LEASE_SELF, lease)
    assert not {"trouble", "tokens_last_until", "log_in_before"} & well.json.keys()
    assert not (await broker.ask("GET", "/health")).json["degraded"]
    assert broker.daemon is not None
    for _ in range(3):
        broker.daemon.engine.gates[name].note(IssuerUnreachable("The issuer does not answer."))
    health = await broker.ask("GET", "/health")
    assert (health.status, health.json["degraded"]) == (200, True)
    assert not health.json["issuers"][name]["open"]
    assert (await broker.ask("GET", "/readyz")).status == 200
    metrics = await broker.ask("GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=")
    assert f'credbroker_issuer_open{{issuer="{name}"}} 0.0' in metrics.body.decode()
    assert f'credbroker_events_total{{event="login",issuer="{name}",state=""}} 1.0' in (
        metrics.body.decode()
    )
    told = await broker.ask("GET", native.LEASE_SELF, lease)
    assert f"The issuer '{name}' does not answer as it should" in told.json["trouble"]
    assert told.json["tokens_last_until"] == token.json["expires_at"]
