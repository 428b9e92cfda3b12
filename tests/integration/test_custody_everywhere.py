"""A whole run at the lowest log level, down every path that goes wrong: no secret is anywhere.

The broker is a process of its own, so that its log, its files and its arguments are what an
operator would have. OpenBao's own files are looked at too: what it stores there is encrypted.
"""

from __future__ import annotations

import asyncio
import json
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


async def test_after_a_whole_run_no_secret_is_where_it_must_not_be(
    openbao: OpenBaoServer, open_world: WorldFactory, unused_tcp_port: int
) -> None:
    """Refresh tokens, the client's secret and the Vault login: nowhere. Tokens: in answers alone."""
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
    assert broker.child is not None
    elsewhere.search_arguments([broker.child.pid], environment=False)
    await asyncio.to_thread(openbao.stop)
    elsewhere.search_folder(world.folder, except_for=["config-served/client-secret"])
    elsewhere.search_folder(openbao.log_file.parent, except_for=[openbao.secret_id_file])
    in_answers.assert_unseen()
    elsewhere.assert_unseen()
    assert len(broker.said().splitlines()) > len(broker.answers) / 2  # it did write a log
    for line in broker.said().splitlines():
        assert isinstance(json.loads(line), dict)  # and nothing but its log: no stray stack


def _given_out(body: bytes) -> list[tuple[str, str]]:
    answer = json.loads(body) if body else {}
    return [(name, answer[name]) for name in GIVEN_OUT if name in answer]
