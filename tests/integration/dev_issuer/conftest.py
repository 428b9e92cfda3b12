"""Running issuers, stopped with the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from credbroker.demo.issuer import Client, DevIssuer, IssuerSettings, Person, SigningKeys
from credbroker.host.entropy import SystemEntropy
from tests.integration.dev_issuer.world import BACK, NotingClock, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@pytest.fixture(scope="module")
def keys() -> SigningKeys:
    """Return one set of keys for the module; tests that rotate make their own."""
    return SigningKeys()


@pytest.fixture
async def make_world(keys: SigningKeys) -> AsyncIterator[Callable[..., Any]]:
    """Return a maker of running issuers; keywords go to the settings."""
    worlds: list[World] = []

    async def make(**wanted: Any) -> World:
        settings = IssuerSettings(
            clients=(
                Client("broker", "broker's word", redirect_uris=(BACK,)),
                Client("public", redirect_uris=(BACK,)),
                Client("other", "other's word"),
            ),
            people=(Person("alice", "alice's word", groups=("/cms",)),),
            **wanted,
        )
        clock = NotingClock()
        issuer = DevIssuer(settings, clock, SystemEntropy(), keys=keys)
        await issuer.start()
        http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        worlds.append(World(issuer, clock, http))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.http.close()
        await world.issuer.stop()


@pytest.fixture
async def world(make_world: Callable[..., Any]) -> World:
    """Return an issuer with usual settings."""
    made: World = await make_world()
    return made
