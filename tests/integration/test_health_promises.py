"""What all replicas share may be away for long: each stays ready, goes on, and serves good tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer import Lifetimes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.demo.openbao import OpenBaoServer
    from tests.integration.broker_world import BrokerWorld, Replica
    from tests.integration.conftest import WorldFactory

pytestmark = pytest.mark.slow

MINUTE = 60.0
TOKEN_SECONDS = 3 * 3600
OTHER = "storage.create:/"


class Watched:
    """Two replicas with all that runs in them, and somebody who has a token from each."""

    def __init__(self, world: BrokerWorld) -> None:
        self.world = world
        self.replicas: list[Replica] = []
        self.running: list[asyncio.Task[None]] = []
        self.lease = ""
        self.jti = ""

    async def open(self) -> None:
        """Start both, with every round that a service runs, and log somebody in."""
        self.replicas = [await self.world.replica(name) for name in ("one", "two")]
        for replica in self.replicas:
            assert replica.daemon is not None
            self.running += [
                asyncio.ensure_future(one) for one in replica.daemon.lasting().values()
            ]
        self.lease = await self.replicas[0].log_in()
        (self.jti,) = {(await one.token(self.lease)).json["jti"] for one in self.replicas}

    async def close(self) -> None:
        """End the rounds."""
        for one in self.running:
            one.cancel()
        await asyncio.wait(self.running)

    async def live_through(self, minutes: int) -> None:
        """Let time go by; each minute both are alive, ready and serve the token, and nothing ended."""
        for _ in range(minutes):
            passes = self._passes()
            self.world.clock.leap(MINUTE)
            for replica in self.replicas:
                assert (await replica.ask("GET", "/livez")).status == 200
                ready = await replica.ask("GET", "/readyz")
                assert (ready.status, ready.json) == (200, {"ready": True, "troubles": []})
                given = await replica.token(self.lease)
                assert (given.status, given.json["jti"]) == (200, self.jti)
            await self.world.until(lambda passes=passes: self._went_on(passes))
            assert [one for one in self.running if one.done()] == []

    async def troubles(self) -> list[str]:
        """Return what `/health` of both says, which is answered whatever that is."""
        said = [await one.ask("GET", "/health") for one in self.replicas]
        assert {one.status for one in said} == {200}
        return [sentence for one in said for sentence in one.json["troubles"]]

    def _passes(self) -> list[int]:
        """Return how often each keeper has gone round: systemd kills one that stands still."""
        return [one.daemon.engine.keeping.passes for one in self.replicas if one.daemon]

    def _went_on(self, before: list[int]) -> bool:
        return all(now > then for now, then in zip(self._passes(), before, strict=True))


@pytest.fixture
async def watched(openbao: OpenBaoServer, open_world: WorldFactory) -> AsyncIterator[Watched]:
    """Two replicas around an OpenBao of their own."""
    world = await open_world(openbao, lifetimes=Lifetimes(access=TOKEN_SECONDS))
    found = Watched(world)
    await found.open()
    yield found
    await found.close()


async def test_an_issuer_that_is_down_for_an_hour_makes_no_replica_unready(
    watched: Watched,
) -> None:
    """Nothing ends; `/health` tells of it, and a new token is to be had once it is back."""
    leases = [await watched.replicas[0].log_in(name) for name in ("bob", "carol")]
    await watched.world.issuer.go_dark()
    for _ in range(60):
        for lease in (watched.lease, *leases):  # the silence of three says that it is the issuer's
            for replica in watched.replicas:
                assert (await replica.token(lease, OTHER)).status == 503
        await watched.live_through(1)
    assert any("does not answer" in one for one in await watched.troubles())
    await watched.world.issuer.come_back()
    await comes_back(watched)


async def test_a_vault_that_is_down_for_ten_minutes_makes_no_replica_unready(
    watched: Watched, openbao: OpenBaoServer
) -> None:
    """Likewise; nobody has to log in again or start anything."""
    await asyncio.to_thread(openbao.stop)
    await watched.live_through(10)
    assert "OpenBao/Vault does not answer." in await watched.troubles()
    await asyncio.to_thread(openbao.start)
    await comes_back(watched)


async def comes_back(watched: Watched) -> None:
    """Within ten minutes each replica fetches something new again, and says that all is well."""
    for minute in range(20):
        watched.world.clock.leap(MINUTE / 2)
        given = [
            await one.token(watched.lease, f"{OTHER}{number}/{minute}")
            for number, one in enumerate(watched.replicas)
        ]
        if [one.status for one in given] == [200, 200] and await watched.troubles() == []:
            break
    assert [one.status for one in given] == [200, 200]
    assert await watched.troubles() == []
    assert [one for one in watched.running if one.done()] == []
