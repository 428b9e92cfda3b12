"""The engine against a broker as it is served: from leases to files, over one address."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from credbroker.client.address import parse_address
from credbroker.client.batches import Batches
from credbroker.client.streams import Door
from credbroker.domain.errors import LeaseEnded, LeaseUnknown
from credbroker.domain.secret import Secret
from credbroker.edge.asking import BrokerAsker
from credbroker.edge.engine import Engine
from credbroker.edge.orders import Order, Place
from credbroker.edge.writing import Writing
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire import native
from credbroker.wire.jwt import read_access_token
from tests.fakes.edge import FakeSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.broker_world import BrokerWorld


async def test_leases_become_files_and_one_that_ended_concerns_itself_alone(
    broker_world: BrokerWorld, tmp_path: Path
) -> None:
    """A person's, a job's, one that nobody knows, one that ended; through one kept connection."""
    broker = await broker_world.replica()
    person = await broker.log_in()
    job, ended = await broker.job_lease(person), await broker.job_lease(person)
    await broker.ask("DELETE", native.LEASE_SELF, ended)
    unknown = f"cb_{'a' * 22}.{'a' * 43}"
    folder = tmp_path / "tokens"
    folder.mkdir()
    source, clock, entropy = FakeSource(), SystemClock(), SystemEntropy()
    named = {"person": person, "job": job, "unknown": unknown, "ended": ended}
    source.want(
        *(
            Order(name, Place(folder / name), "broker", Secret("lease token", lease))
            for name, lease in named.items()
        )
    )
    door = Door(parse_address(broker.url), str(broker_world.authority.ca_file))
    asker, writing = BrokerAsker(Batches(door.send, clock, entropy)), Writing(entropy)
    engine = Engine(source, lambda _: asker, writing, clock, entropy)
    running = asyncio.ensure_future(engine.run())
    async with asyncio.timeout(20):
        while len(source.fresh) + len(source.errors) < len(named):
            await asyncio.to_thread(lambda: None)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    writing.close()
    await door.close()
    assert set(source.fresh) == {"person", "job"}
    assert not (folder / "ended").exists()
    assert isinstance(source.errors["unknown"][0], LeaseUnknown)
    assert isinstance(source.errors["ended"][0], LeaseEnded)
    written = Secret("access token", (folder / "job").read_text())
    token = read_access_token(written, clock.now())
    assert token.scopes.texts() == ["storage.read:/job"]
    assert 0 < source.fresh["job"][0].renew_seconds < 600
