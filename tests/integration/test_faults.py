"""Custody under real faults: what a broker does when its neighbours fail it in the worst place.

The issuer here rotates, and ends a whole login when a refresh token is used twice; so whatever is
posted again by mistake shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from credbroker.broker.recall import FRESH_SECONDS
from credbroker.demo.issuer import faults
from credbroker.domain.grants import GrantState
from credbroker.stores.vault import LOGIN_PAUSE_SECONDS
from credbroker.telemetry.canaries import Canaries
from tests.fixtures_openbao import admin_hvac
from tests.integration.broker_world import ACCESS_SECONDS, READ, BrokerWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from credbroker.demo.issuer.faults import Fault
    from credbroker.demo.openbao import OpenBaoServer
    from tests.answers import Answer
    from tests.integration.conftest import WorldFactory

OTHER = "storage.create:/"
MARKER = "zebras graze in Zanzibar"
HELD_SECONDS = 5.0  # how long a record is believed without asking OpenBao again
UNFIT_SECONDS = 30.0  # how long what an issuer answered wrongly is not asked for again
PROBE_SECONDS = 60.0  # how often an issuer that rejects the broker's client is asked again
REST_SECONDS = 5.0  # how long an issuer that does not answer is left alone, at the most


def begin(deed: Coroutine[object, object, Answer]) -> asyncio.Task[Answer]:
    """Let a caller wait while the test goes on."""
    return asyncio.get_running_loop().create_task(deed)


async def waited_out(world: BrokerWorld, request: Coroutine[object, object, Answer]) -> Answer:
    """Ask while OpenBao is away, and let the time pass for which the broker waits for it."""
    asked = begin(request)
    while not asked.done():
        world.clock.leap(0.5)
        await asyncio.wait({asked}, timeout=0.05)
    return asked.result()


def search(world: BrokerWorld, answers: list[Answer], said: str) -> Canaries:
    """Look for refresh tokens in answers, audit trail and log, and plant them all."""
    seen = Canaries()
    for value in world.issuer.refresh_tokens_issued:
        seen.plant("refresh token", value)
    for answer in answers:
        seen.search_text("answer", answer.body + str(answer.headers).encode())
    seen.search_folder(world.folder / "audit")
    seen.search_text("log", said.encode())
    return seen


# An answer that never comes


@pytest.mark.parametrize(
    "fault", [faults.LOST_ANSWER, faults.LOST_REQUEST], ids=["answer", "request"]
)
async def test_a_refresh_without_an_answer_is_in_doubt_and_never_tried_again(
    broker_world: BrokerWorld, fault: Fault
) -> None:
    """The person is told at once, every time; the value was posted once; a new login mends it."""
    broker = await broker_world.replica()
    other = await broker_world.replica("two")
    lease = await broker.log_in()
    job = await broker.job_lease(lease)
    spent = broker_world.issuer.refresh_tokens_issued[-1]
    broker_world.on_refresh(fault)
    told = [await broker.token(lease), await broker.token(job, "storage.read:/job")]
    told.append(await other.token(lease))
    assert [(one.status, one.error) for one in told] == [(403, "grant_in_doubt")] * 3
    assert f"credbroker login {broker_world.issuer_name}" in told[0].json["remedy"]
    assert len(broker_world.issuer.posts_of(spent)) == 1
    assert broker_world.grant_of().state is GrantState.IN_DOUBT

    again = await broker.log_in()
    broker_world.clock.leap(REST_SECONDS)
    for one in (again, lease):
        assert (await broker.token(one)).status == 200
    assert (await broker.token(job, "storage.read:/job")).status == 200
    assert len(broker_world.issuer.posts_of(spent)) == 1


async def test_one_persons_lost_answer_hurts_nobody_else(broker_world: BrokerWorld) -> None:
    """Another's held token is served meanwhile, and a new one once the issuer had its moment."""
    broker = await broker_world.replica()
    alice, bob = await broker.log_in("alice"), await broker.log_in("bob")
    assert (await broker.token(bob)).status == 200
    broker_world.on_refresh(faults.LOST_ANSWER)
    await broker.token(alice)
    assert (await broker.token(bob)).status == 200
    broker_world.clock.leap(REST_SECONDS)
    assert (await broker.token(bob, OTHER)).status == 200
    assert broker_world.grant_of("bob").state is GrantState.READY
    assert broker_world.most_posts_of_a_value() == 1


# An answer that cannot be used


@pytest.mark.parametrize(
    ("fault", "error", "state"),
    [
        (faults.ERROR_500, "grant_in_doubt", GrantState.IN_DOUBT),
        (faults.Spoiled(502, "<html>{marker}", "text/html"), "grant_in_doubt", GrantState.IN_DOUBT),
        (faults.Spoiled(200, "{marker}", "text/plain"), "grant_in_doubt", GrantState.IN_DOUBT),
        (faults.too_many(int(REST_SECONDS)), "issuer_unreachable", GrantState.READY),
        (faults.oauth_error("invalid_scope", "{marker}"), "issuer_refused", GrantState.READY),
        (faults.oauth_error("invalid_target", "{marker}"), "grant_in_doubt", GrantState.IN_DOUBT),
        (faults.oauth_error("invalid_grant", "AUP {marker}"), "grant_paused", GrantState.PAUSED),
        (faults.oauth_error("invalid_grant", "{marker}"), "login_needed", GrantState.LOST),
        (faults.LEAKY_ERROR, "login_needed", GrantState.LOST),
    ],
    ids=lambda it: str(it.status) if isinstance(it, faults.Spoiled) else None,
)
async def test_what_an_issuer_says_is_judged_and_never_repeated(
    broker_world: BrokerWorld,
    fault: faults.Spoiled,
    error: str,
    state: GrantState,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The grant stands as the answer proves; no word of its body is in answer, trail or log."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    value = broker_world.issuer.refresh_tokens_issued[-1]
    words = fault.body.replace("{marker}", MARKER)
    broker_world.on_refresh(faults.Spoiled(fault.status, words, fault.content_type, fault.headers))
    first = await broker.token(lease)
    assert first.error == error
    assert broker_world.grant_of().state is state
    broker_world.clock.leap(REST_SECONDS)
    second = await broker.token(lease)
    assert second.status == (200 if state is GrantState.READY else 403)
    assert len(broker_world.issuer.posts_of(value)) == (2 if state is GrantState.READY else 1)
    said = capfd.readouterr()
    seen = search(broker_world, broker.answers[2:], said.out + said.err)
    seen.plant("issuer's words", MARKER)
    seen.assert_unseen()


async def test_a_client_that_is_rejected_is_not_shown_again_until_a_probe_is_accepted(
    broker_world: BrokerWorld,
) -> None:
    """The grant is kept; soon after the issuer's change of mind all goes on."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    broker_world.on_refresh(faults.oauth_error("invalid_client", "no such client", 401), times=None)
    assert (await broker.token(lease)).error == "client_rejected"
    assert broker.daemon is not None
    engine = broker.daemon.engine
    recovering = asyncio.ensure_future(engine.recovering.run())

    def paused() -> bool:
        broker_world.clock.leap(PROBE_SECONDS)
        return engine.gates[broker_world.issuer_name].client_paused

    await broker_world.until(paused)
    assert (await broker.token(lease)).error == "issuer_spared"
    assert broker_world.grant_of().state is GrantState.READY
    broker_world.issuer.faults.clear()
    await broker_world.until(lambda: not paused())
    recovering.cancel()
    assert (await broker.token(lease)).status == 200


async def test_a_redirect_takes_the_refresh_token_nowhere(broker_world: BrokerWorld) -> None:
    """The other host hears nothing, and the token is as good as before."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    async with listener() as (url, heard):
        broker_world.on_refresh(faults.redirect_307(url))
        assert (await broker.token(lease)).error == "issuer_misbehaved"
        assert heard == []
    assert (await broker.token(lease)).status == 200


@contextlib.asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, list[str]]]:
    """Run a server elsewhere; give its address and what it hears."""
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    app = web.Application()
    app.add_routes([web.route("*", "/{any:.*}", hear)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token", heard
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "flaw",
    [
        faults.wider_scope("storage.modify:/"),
        faults.wider_scope("wlcg.groups"),
        faults.wrong_audience("https://evil.test"),
        faults.wrong_issuer("https://evil.test/"),
        faults.wlcg_version("2.0"),
        faults.wlcg_version(None),
        faults.WRONG_KEY,
        faults.skewed_clock(3600),
        faults.skewed_clock(-3600),
        faults.Flaw("somebody else", lambda claims: claims | {"sub": "somebody else"}),
    ],
    ids=lambda flaw: flaw.name,
)
async def test_a_token_that_is_not_what_was_asked_for_is_never_handed_out(
    broker_world: BrokerWorld, flaw: faults.Flaw
) -> None:
    """The caller gets a problem; the successor is kept all the same, so a later one is right."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    asked = {"audiences": ["https://se"]}
    broker_world.on_refresh(flaw)
    for _ in range(2):
        wrong = await broker.token(lease, **asked)
        assert (wrong.status, wrong.error) == (503, "issuer_misbehaved")
        assert b"eyJ" not in wrong.body
    assert broker_world.issuer.count_refreshes() == 1  # asking again at once would only spend
    assert "mint" not in {line["event"] for line in broker_world.audit_lines()}
    broker_world.clock.leap(UNFIT_SECONDS)
    right = await broker.token(lease, **asked)
    assert (right.status, right.json["scopes"]) == (200, [READ])
    assert broker_world.issuer.count_refreshes() == 2


# Somebody is away


async def test_while_the_issuer_is_down_a_held_token_is_served_to_its_end_and_no_longer(
    broker_world: BrokerWorld,
) -> None:
    """Then 503, with a time to come back; nothing is lost."""
    broker = await broker_world.replica()
    lease = await broker.log_in()
    first = await broker.token(lease)
    await broker_world.issuer.go_dark()
    broker_world.clock.leap(ACCESS_SECONDS - 10)
    held = await broker.token(lease)
    assert held.json["jti"] == first.json["jti"]
    assert (await broker.token(lease, minimum_seconds=60)).error == "issuer_unreachable"
    broker_world.clock.leap(10)
    gone = await broker.token(lease)
    assert (gone.status, gone.error) == (503, "issuer_unreachable")
    assert int(gone.headers["Retry-After"]) > 0
    await broker_world.issuer.come_back()
    broker_world.clock.leap(REST_SECONDS)
    assert (await broker.token(lease)).status == 200
    assert broker_world.most_posts_of_a_value() == 1


async def test_without_openbao_held_tokens_are_served_and_nothing_new_is_fetched(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """It mends itself when OpenBao is back; the issuer was not bothered."""
    world = await open_world(openbao)
    broker = await world.replica()
    lease = await broker.log_in()
    assert (await broker.token(lease)).status == 200
    await asyncio.to_thread(openbao.stop)
    world.clock.leap(HELD_SECONDS)
    assert (await broker.token(lease)).status == 200
    refused = await waited_out(world, broker.token(lease, OTHER))
    assert (refused.status, refused.error) == (503, "store_unavailable")
    asked = broker.ask("POST", "/api/v1/logins", body={"issuer": world.issuer_name})
    started = await waited_out(world, asked)
    assert started.status == 503
    await asyncio.to_thread(openbao.start)
    world.clock.leap(FRESH_SECONDS)
    assert (await broker.token(lease, OTHER)).status == 200
    assert world.issuer.count_refreshes() == 2


async def test_a_successor_waits_for_openbao_and_the_caller_for_the_successor(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """OpenBao is killed between claim and answer; nobody has the token before it is stored."""
    world = await open_world(openbao)
    broker = await world.replica()
    lease = await broker.log_in()
    world.on_refresh(faults.Slow(60))
    waiting = [begin(broker.token(lease)) for _ in range(2)]
    await world.until(lambda: world.refreshes_seen() == 1)
    assert (await asyncio.to_thread(world.grant_of)).state is GrantState.CLAIMED
    await asyncio.to_thread(openbao.kill)
    world.issuer.faults.clear()
    world.clock.leap(60)
    assert [(await one).error for one in waiting] == ["busy"] * 2  # after 9 s of these 60
    await world.until(lambda: world.issuer.count_refreshes() == 1)
    assert (await waited_out(world, broker.token(lease))).error in {"store_unavailable", "busy"}
    await asyncio.to_thread(openbao.start)
    world.clock.leap(REST_SECONDS)
    answer = await broker.token(lease)
    assert answer.status == 200
    grant = await asyncio.to_thread(world.grant_of)
    assert grant.refresh_token is not None
    assert grant.refresh_token.reveal() == world.issuer.refresh_tokens_issued[-1]
    assert (grant.state, world.issuer.count_refreshes()) == (GrantState.READY, 1)


async def test_a_broker_whose_vault_login_has_ended_logs_in_again_by_itself(
    openbao: OpenBaoServer, open_world: WorldFactory
) -> None:
    """Every token it has is revoked; the very next request is served."""
    world = await open_world(openbao)
    broker = await world.replica()
    lease = await broker.log_in()
    admin = await asyncio.to_thread(admin_hvac, openbao)
    await asyncio.to_thread(admin.sys.revoke_prefix, "auth/approle/login")
    world.clock.leap(LOGIN_PAUSE_SECONDS)
    assert (await broker.token(lease)).status == 200
    assert (await broker.ask("GET", "/readyz")).status == 200


# Many at once


async def test_two_brokers_and_a_hundred_callers_post_no_value_twice(
    broker_world: BrokerWorld,
) -> None:
    """One grant, three different rights, fifty requests at each broker: all are served."""
    brokers = [await broker_world.replica(name) for name in ("one", "two")]
    lease = await brokers[0].log_in()
    rights = [READ, OTHER, "storage.read:/deeper"]
    answers = await asyncio.gather(
        *(
            broker.token(lease, rights[number % len(rights)])
            for number in range(50)
            for broker in brokers
        )
    )
    assert {answer.status for answer in answers} == {200}
    assert broker_world.most_posts_of_a_value() == 1
    assert len(rights) <= broker_world.issuer.count_refreshes() <= len(rights) * len(brokers)
    assert broker_world.grant_of().state is GrantState.READY


# The process ends


@pytest.fixture
async def served_world(open_world: WorldFactory) -> BrokerWorld:
    """A world for brokers that are processes of their own."""
    return await open_world()


async def test_a_broker_killed_between_refreshes_has_lost_nothing(
    served_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """After kill -9 the next one goes on with the same lease, grant and token at hand."""
    broker = await served_world.serve(port=unused_tcp_port)
    lease = await broker.log_in()
    first = await broker.token(lease)
    await broker.kill()
    await broker.start("served")
    second, other = await broker.token(lease), await broker.token(lease, OTHER)
    assert (first.status, second.status, other.status) == (200, 200, 200)
    assert second.json["jti"] == first.json["jti"]
    assert served_world.most_posts_of_a_value() == 1


def refuses(port: int) -> bool:
    """True if nobody listens there."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) != 0


async def test_a_broker_told_to_stop_stores_what_it_has_begun(
    served_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """SIGTERM comes while the issuer thinks: the refresh is finished, stored and answered."""
    broker = await served_world.serve(port=unused_tcp_port)
    lease = await broker.log_in()
    served_world.on_refresh(faults.Slow(60))
    waiting = begin(broker.token(lease))
    await served_world.until(lambda: served_world.refreshes_seen() == 1)
    ended = asyncio.get_running_loop().create_task(broker.terminate())
    await served_world.until(lambda: refuses(unused_tcp_port))
    served_world.clock.leap(60)
    assert await ended == 0
    assert (await waiting).status == 200
    grant = await asyncio.to_thread(served_world.grant_of)
    assert grant.refresh_token is not None
    assert grant.refresh_token.reveal() == served_world.issuer.refresh_tokens_issued[-1]
    assert (grant.state, grant.generation) == (GrantState.READY, 2)
