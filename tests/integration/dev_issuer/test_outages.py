"""Going dark and coming back, new keys, the diary."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from credbroker.demo.certificates import make_authority
from credbroker.demo.issuer import Client, DevIssuer, Endpoint, IssuerSettings, faults
from credbroker.demo.issuer.errors import OAuthError
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.integration.dev_issuer.world import BROKER, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def test_a_dark_issuer_refuses_and_comes_back_with_all_it_knows(world: World) -> None:
    """The same port, the same refresh tokens; open connections are cut."""
    value = (await world.log_in())["refresh_token"]
    url = world.issuer.url
    await world.issuer.go_dark()
    await world.issuer.go_dark()  # twice is once
    for _ in range(2):  # the first may still hold the old connection
        with pytest.raises(aiohttp.ClientConnectionError):
            await world.refresh(value)
    assert world.issuer.posts_of(value) == []
    await world.issuer.come_back()
    assert world.issuer.url == url
    assert (await world.refresh(value))[0] == 200


async def test_it_serves_https_with_the_certificate_it_is_given(tmp_path: Path) -> None:
    """Its address says https, and going dark works the same."""
    authority = make_authority(tmp_path, SystemClock())
    certificate, key = authority.issue("issuer", tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    issuer = DevIssuer(IssuerSettings((), ()), FakeClock(), SystemEntropy(), context)
    await issuer.start()
    trust = ssl.create_default_context(cafile=authority.ca_file)
    try:
        async with aiohttp.ClientSession() as http:
            url = f"{issuer.url}.well-known/openid-configuration"
            async with http.get(url, ssl=trust) as answer:
                assert (await answer.json())["issuer"] == issuer.url
            assert issuer.url.startswith("https://127.0.0.1:")
            await issuer.go_dark()
            with pytest.raises(aiohttp.ClientConnectionError):
                await http.get(url, ssl=trust)
            await issuer.come_back()
            async with http.get(url, ssl=trust) as answer:
                assert answer.status == 200
    finally:
        await issuer.stop()


async def test_a_stopped_issuer_does_not_come_back() -> None:
    """Only a running one can."""
    settings = IssuerSettings((), ())
    issuer = DevIssuer(settings, FakeClock(), SystemEntropy())
    with pytest.raises(RuntimeError, match=r"call start\(\)"):
        await issuer.come_back()
    await issuer.start()
    await issuer.stop()
    await issuer.stop()
    with pytest.raises(RuntimeError, match=r"call start\(\)"):
        await issuer.come_back()


async def test_stopping_gives_up_what_is_under_way() -> None:
    """A request that waits on a clock that stands still does not hold the issuer up."""
    clock = FakeClock()
    issuer = DevIssuer(IssuerSettings((), ()), clock, SystemEntropy())
    await issuer.start()
    issuer.faults.on(Endpoint.JWKS, faults.Slow(3600))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as http:
        with pytest.raises(TimeoutError):
            await http.get(issuer.url + "jwk")
    await issuer.stop()


async def test_tokens_follow_a_key_rotation(make_world: Callable[..., Any]) -> None:
    """Old tokens verify until their key is dropped; new ones name the new key at once."""
    world = await make_world(algorithm="ES256")
    issuer = DevIssuer(
        IssuerSettings((Client("broker", "broker's word"),), (), algorithm="ES256"),
        world.clock,
        SystemEntropy(),
    )
    await issuer.start()
    try:
        own = World(issuer, world.clock, world.http)
        form = {"grant_type": "client_credentials", "scope": "compute.read", **BROKER}
        before = (await own.post("token", form))[1]["access_token"]
        issuer.keys.rotate("ES256")
        after = (await own.post("token", form))[1]["access_token"]
        assert before.split(".")[0] != after.split(".")[0]
        assert (await own.verified(before))["sub"] == (await own.verified(after))["sub"] == "broker"
    finally:
        await issuer.stop()


async def test_the_diary_names_who_asked_for_what(world: World) -> None:
    """Time, endpoint, grant type, client, scope, outcome; a refresh token by its hash alone."""
    value = (await world.log_in())["refresh_token"]
    await world.refresh(value, scope="fts")
    entry = world.issuer.journal[-1]
    assert entry.at == world.clock.now()
    assert (entry.endpoint, entry.grant_type) == (Endpoint.TOKEN, "refresh_token")
    assert (entry.client_id, entry.scope, entry.outcome) == ("broker", "fts", "invalid_scope")
    assert len(entry.refresh_sha256) == 64
    assert value not in repr(world.issuer.journal)


async def test_a_client_may_be_registered_late(world: World) -> None:
    """For those whose return address is known only once they run."""
    world.issuer.add_client(Client("late", "late's word"))
    form = {"grant_type": "client_credentials", "scope": "compute.read"}
    form |= {"client_id": "late", "client_secret": "late's word"}
    assert (await world.post("token", form))[0] == 200


async def test_approving_names_a_known_person_and_a_pending_code(world: World) -> None:
    """Anything else is a mistake in a test, told at once."""
    started = await world.begin()
    with pytest.raises(OAuthError, match="Nobody here is called eve"):
        world.issuer.approve(started["user_code"], person="eve")
    with pytest.raises(OAuthError, match="unknown or no longer valid"):
        world.issuer.approve("NOCODE")
    world.issuer.approve(started["user_code"], scopes=["openid"])
    assert (await world.poll(started))[1]["scope"] == "openid"
