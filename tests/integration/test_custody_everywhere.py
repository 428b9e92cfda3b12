"""A whole run at the lowest log level, down every path that goes wrong: no secret is anywhere.

The broker is a process of its own, so that its log, its files and its arguments are what an
operator would have. OpenBao's own files are looked at too: what it stores there is encrypted.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.demo.issuer import faults
from credbroker.telemetry.canaries import Canaries
from credbroker.wire import native
from tests.integration.broker_world import READ

if TYPE_CHECKING:
    from credbroker.demo.issuer.faults import Fault
    from credbroker.demo.openbao import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld, Served
    from tests.integration.conftest import WorldFactory

REST_SECONDS = 1.1  # how long the issuer is left alone after one failure, at the most
HARMLESS: tuple[Fault, ...] = (
    faults.wider_scope("storage.modify:/"),
    faults.WRONG_KEY,
    faults.wrong_audience("https://evil.test"),
    faults.redirect_307("http://127.0.0.1:1/"),
    faults.oauth_error("invalid_scope", "{refresh_token}"),
)
# After this one nobody is refreshed for a minute, so it comes last.
REJECTING = faults.oauth_error("invalid_client", "Bad client secret: {refresh_token}", 401)
DEADLY: dict[str, Fault] = {
    "alice": faults.Spoiled(200, '{"refresh_token": "{refresh_token}"}'),
    "bob": faults.LEAKY_ERROR,
    "carol": faults.Spoiled(502, "<html>{refresh_token}</html>", "text/html"),
}
# What the broker refuses, each with a line in its log.
REFUSALS = {401, 403, 409, 429, 500, 502, 503}
NUMBERS = ("/metrics", "/health", "/readyz", "/livez", "/api/v1/openapi.json")
GIVEN_OUT = ("access_token", "lease_token", "login_token")


async def live_through_everything(world: BrokerWorld, broker: Served) -> None:
    """Log in, fetch, narrow, refuse, misbehave in every way the issuer knows, log out."""
    leases = {name: await broker.log_in(name) for name in ("alice", "bob", "carol")}
    lease = leases["alice"]
    await broker.token(lease)
    job = await broker.job_lease(lease)
    await broker.token(job, "storage.read:/job")
    await broker.token(job, READ)
    await broker.token(lease + "x")
    await broker.ask("POST", native.TOKENS, lease, b"{" + lease.encode())
    await broker.ask("GET", native.LEASE_SELF + f"?access_token={lease}")
    await broker.ask("GET", f"/{lease}")
    await speak_as_htgettoken(world, broker, lease)
    for number, fault in enumerate(HARMLESS):
        world.on_refresh(fault)
        wrong = await broker.token(lease, f"storage.read:/{number}", audiences=["https://se"])
        assert wrong.status >= 400
    for name, fault in DEADLY.items():
        world.on_refresh(fault)
        assert (await broker.token(leases[name], "storage.create:/")).status == 403
    again = await broker.log_in("alice")
    denied = await broker.begin_login()
    world.issuer.deny(denied["user_code"])
    await broker.ask("POST", native.LOGIN_POLL, denied["login_token"])
    await world.clock.sleep(REST_SECONDS)  # the broker's clock does not leap
    assert (await broker.token(again)).status == 200
    world.on_refresh(REJECTING)
    assert (await broker.token(again, "storage.create:/")).error == "client_rejected"
    assert (await broker.ask("DELETE", native.GRANT_SELF, again)).status == 200


def may_dump(pid: int) -> str:
    """Return how large a core file of a process may be."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    (largest,) = re.findall(r"^Max core file size +\S+ +(\S+)", limits, re.MULTILINE)
    return str(largest)


async def speak_as_htgettoken(world: BrokerWorld, broker: Served, lease: str) -> None:
    """Go the ways of HTVault's clients, with what is right and what is not."""
    mount = f"/v1/secret/oauth/creds/{world.issuer_name}"
    for shown in (lease, lease + "x", "s." + "x" * 24):
        vault = {"X-Vault-Token": shown}
        await broker.ask("GET", f"{mount}/alice:default?minimum_seconds=60", headers=vault)
        await broker.ask("POST", "/v1/auth/token/create", body={"ttl": "1h"}, headers=vault)
        await broker.ask("POST", f"{mount}/{shown}", body={"refresh_token": shown}, headers=vault)
    await broker.ask("POST", f"/v1/auth/oidc-{world.issuer_name}/oidc/poll", body={"state": lease})


async def test_after_a_whole_run_no_secret_is_where_it_must_not_be(
    openbao: OpenBaoServer, open_world: WorldFactory, unused_tcp_port: int
) -> None:
    """Refresh tokens, the client's secret and the Vault login: nowhere. Tokens: in answers alone.

    Looked at are log, trail, files, arguments, environment and numbers. No core can be dumped.
    """
    world = await open_world(openbao, report_denial=True)
    broker = await world.serve(port=unused_tcp_port, log={"level": "debug"})
    await live_through_everything(world, broker)
    in_answers, elsewhere = Canaries(), Canaries()
    for seen in (in_answers, elsewhere):
        for value in world.issuer.refresh_tokens_issued:
            seen.plant("refresh token", value)
        seen.plant("client secret", world.client_secret)
        seen.plant("AppRole secret id", openbao.secret_id_file.read_text())
    for answer in broker.answers:
        in_answers.search_text("answer", answer.body + str(answer.headers).encode())
        for name, value in _given_out(answer.body):
            # The first half of a lease token is the lease's id, which the trail is there to name.
            elsewhere.plant(name, value if name == "access_token" else value.rpartition(".")[2])
    for numbers in NUMBERS:
        told = await broker.ask("GET", numbers)
        elsewhere.search_text(numbers, told.body + str(told.headers).encode())
    assert broker.child is not None
    elsewhere.search_arguments([broker.child.pid], environment=os.geteuid() == 0)
    assert may_dump(broker.child.pid) == "0"
    await asyncio.to_thread(openbao.stop)
    elsewhere.search_folder(world.folder, except_for=["config-served/client-secret"])
    elsewhere.search_folder(openbao.log_file.parent, except_for=[openbao.secret_id_file])
    in_answers.assert_unseen()
    elsewhere.assert_unseen()
    refused = [each for each in broker.answers if each.status in REFUSALS]
    assert len(refused) > len(DEADLY)
    for each in refused:
        assert each.headers["X-Request-Id"] in broker.said()  # it did write a log
    for line in broker.said().splitlines():
        assert isinstance(json.loads(line), dict)  # and nothing but its log: no stray stack


def _given_out(body: bytes) -> list[tuple[str, str]]:
    answer = json.loads(body) if body else {}
    return [(name, answer[name]) for name in GIVEN_OUT if name in answer]
