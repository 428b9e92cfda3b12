"""Each fault as a client sees it, and what the issuer did meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
from joserfc.errors import BadSignatureError

from credbroker.demo.issuer import Client, DevIssuer, Endpoint, IssuerSettings, faults
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.integration.dev_issuer.world import BROKER

if TYPE_CHECKING:
    from tests.integration.dev_issuer.world import World


class HeldClock(FakeClock):
    """Lets sleepers wait until `held` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.held.wait()


async def test_a_lost_answer_was_acted_upon(world: World) -> None:
    """The client sees a cut connection; the refresh token has rotated all the same."""
    old = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.LOST_ANSWER)
    with pytest.raises(aiohttp.ClientError):
        await world.refresh(old)
    assert world.issuer.count_refreshes() == 1
    assert len(world.issuer.refresh_tokens_issued) == 2
    assert (await world.refresh(old))[1]["error"] == "invalid_token"
    assert (await world.refresh(world.issuer.refresh_tokens_issued[1]))[0] == 200


async def test_a_lost_request_was_not_acted_upon(world: World) -> None:
    """The same value works afterwards, and both posts are in the diary."""
    old = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.LOST_REQUEST)
    with pytest.raises(aiohttp.ClientError):
        await world.refresh(old)
    assert (await world.refresh(old))[0] == 200
    posts = world.issuer.posts_of(old)
    assert [(one.outcome, one.faults) for one in posts] == [("not acted", ("Lost",)), ("ok", ())]


@pytest.mark.parametrize("acted", [False, True])
async def test_a_slow_answer_takes_the_clocks_time(world: World, acted: bool) -> None:
    """Before acting or after; the answer is right either way."""
    value = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.Slow(30, acted=acted))
    assert (await world.refresh(value))[0] == 200
    assert world.clock.slept == [30]


@pytest.mark.parametrize(
    "fault",
    [
        faults.ERROR_500,
        faults.HTML_BODY,
        faults.SLOW_DOWN,
        faults.too_many(17),
        faults.redirect_307("http://127.0.0.1:1/"),
        faults.oauth_error("unauthorized", "User is not active.", 401),
    ],
    ids=lambda fault: str(fault.status),
)
@pytest.mark.parametrize("acted", [False, True])
async def test_a_spoiled_answer_shows_before_or_after_acting(
    world: World, fault: faults.Spoiled, acted: bool
) -> None:
    """Status, kind, headers and words are the fault's; the refresh happened if the fault says so."""
    old = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.after_acting(fault) if acted else fault)
    form = {"grant_type": "refresh_token", "refresh_token": old, **BROKER}
    async with world.http.post(
        world.issuer.url + "token", data=form, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.content_type) == (fault.status, fault.content_type)
        assert await answer.text() == fault.body
        assert dict(fault.headers).items() <= answer.headers.items()
    assert world.issuer.count_refreshes() == int(acted)
    assert ((await world.refresh(old))[0] == 200) is not acted


async def test_a_client_that_hangs_up_stops_nothing() -> None:
    """The issuer still acts when its slow moment is over."""
    clock = HeldClock()
    settings = IssuerSettings((Client("broker", "broker's word"),), ())
    issuer = DevIssuer(settings, clock, SystemEntropy())
    await issuer.start()
    form = {"grant_type": "client_credentials", "scope": "compute.read", **BROKER}
    try:
        async with aiohttp.ClientSession() as http:
            issuer.faults.on(Endpoint.TOKEN, faults.Slow(3600))
            hasty = aiohttp.ClientTimeout(total=0.05)
            with pytest.raises(TimeoutError):
                await http.post(issuer.url + "token", data=form, timeout=hasty)
            assert issuer.journal[0].outcome == "not acted"
            clock.held.set()
            async with http.get(issuer.url + "jwk"):
                assert issuer.journal[0].outcome == "ok"
    finally:
        await issuer.stop()


async def test_an_error_may_repeat_the_refresh_token(world: World) -> None:
    """For the client to keep out of its logs."""
    value = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.LEAKY_ERROR)
    assert value in (await world.refresh(value))[1]["error_description"]


@pytest.mark.parametrize(
    ("flaw", "wrong"),
    [
        (faults.wider_scope("storage.modify:/"), {"scope": "openid storage.modify:/"}),
        (faults.wrong_audience("https://evil.test"), {"aud": "https://evil.test"}),
        (faults.wrong_issuer("https://evil.test/"), {"iss": "https://evil.test/"}),
        (faults.wlcg_version("2.0"), {"wlcg.ver": "2.0"}),
        (faults.wlcg_version(None), {"wlcg.ver": None}),
    ],
)
async def test_a_flawed_token_is_signed_all_the_same(
    world: World, flaw: faults.Flaw, wrong: dict[str, str | None]
) -> None:
    """It verifies, and says what it should not; the next one is right again."""
    value = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, flaw)
    _, answer = await world.refresh(value, scope="openid")
    claims = await world.verified(answer["access_token"])
    assert {name: claims.get(name) for name in wrong} == wrong
    _, answer = await world.refresh(answer["refresh_token"], scope="openid")
    claims = await world.verified(answer["access_token"])
    assert all(claims[name] != value for name, value in wrong.items())


async def test_a_skewed_issuer_dates_its_tokens_wrongly(world: World) -> None:
    """All three times move together; `expires_in` stays."""
    value = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.skewed_clock(90))
    _, answer = await world.refresh(value)
    claims = await world.verified(answer["access_token"])
    assert claims["iat"] == world.clock.now().timestamp() + 90
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


async def test_a_token_by_a_wrong_key_does_not_verify(world: World) -> None:
    """Though its header names a published one."""
    value = (await world.log_in())["refresh_token"]
    world.issuer.faults.on(Endpoint.TOKEN, faults.WRONG_KEY)
    _, answer = await world.refresh(value)
    with pytest.raises(BadSignatureError):
        await world.verified(answer["access_token"])


@pytest.mark.parametrize("endpoint", Endpoint)
async def test_a_fault_can_strike_at_every_endpoint(world: World, endpoint: Endpoint) -> None:
    """Once, and the next request is served."""
    world.issuer.faults.on(endpoint, faults.HTML_BODY)
    gets = {Endpoint.JWKS, Endpoint.DISCOVERY, Endpoint.USERINFO}
    method = "GET" if endpoint in gets else "POST"
    seen = []
    for _ in range(2):
        async with world.http.request(method, world.issuer.url + endpoint.value) as answer:
            seen.append(answer.status == 502)
    assert seen == [True, False]
    assert [one.endpoint for one in world.issuer.journal] == [endpoint, endpoint]
