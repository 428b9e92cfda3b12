"""Worlds with whole brokers in them, ended with the test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from credbroker.demo.issuer import SigningKeys
from tests.integration.broker_world import BrokerWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from credbroker.demo.openbao import OpenBaoServer

_numbers = itertools.count(1)


class WorldFactory(Protocol):
    """Opens worlds that end with the test."""

    async def __call__(self, openbao: OpenBaoServer | None = None, **issuer: Any) -> BrokerWorld:
        """Return a world around `openbao`, by default the module's; keywords are the issuer's."""


@pytest.fixture(scope="session")
def issuer_keys() -> SigningKeys:
    """One set of issuer's keys for all worlds: making them takes long."""
    return SigningKeys()


@pytest.fixture
async def open_world(
    tmp_path: Path,
    authority: Authority,
    shared_openbao: OpenBaoServer,
    issuer_keys: SigningKeys,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[WorldFactory]:
    """A way to worlds with settings of their own."""
    # When a world's clock leaps, OpenBao's stays behind.
    monkeypatch.setattr("credbroker.stores.vault.MOST_SECONDS_OFF", float("inf"))
    worlds: list[BrokerWorld] = []

    async def open_one(openbao: OpenBaoServer | None = None, **issuer: Any) -> BrokerWorld:
        folder = tmp_path / f"world-{len(worlds)}"
        folder.mkdir(mode=0o700)
        name = f"issuer-{next(_numbers)}"
        world = BrokerWorld(folder, authority, openbao or shared_openbao, name)
        await world.open(issuer_keys, **issuer)
        worlds.append(world)
        return world

    yield open_one
    for world in worlds:
        await world.close()


@pytest.fixture
async def broker_world(open_world: WorldFactory) -> BrokerWorld:
    """A world around the module's OpenBao, with an issuer of the strictest kind."""
    return await open_world()
