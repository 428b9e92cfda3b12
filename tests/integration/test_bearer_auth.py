"""Tokens on requests over real connections: refused and replaced, redirected and taken off.

The broker is a fake one behind real TLS, which has another token for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httpx
import pytest
import requests

from credbroker.client import fresh, fresh_token, fresh_token_async
from credbroker.client.httpx_auth import BearerAuth as HttpxAuth
from credbroker.client.requests_auth import BearerAuth as RequestsAuth
from credbroker.domain.errors import LeaseEnded
from credbroker.wire import native
from tests.integration.person_world import Machine, machine_in
from tests.integration.storage import Storage, serving_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

Put = Callable[[str, str], Awaitable[int]]
"""Puts something at an address, with a token for an audience; says which status came back."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A person who is logged in; this program is theirs."""
    with machine_in(tmp_path) as machine:
        machine.log_in()
        ca_file = machine.environ["CREDBROKER_CA_FILE"]
        trusted = {"REQUESTS_CA_BUNDLE": ca_file, "SSL_CERT_FILE": ca_file}
        for name, value in {**machine.environ, **trusted}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("credbroker.client.holding.LEAST_SECONDS", 0.0)
        fresh._holding_of.cache_clear()
        yield machine
        fresh._holding_of.cache_clear()


def certificate(machine: Machine) -> tuple[Path, Path]:
    """Return what the broker shows, which is for this host; its key is beside it."""
    return machine.folder / "broker.crt.pem", machine.folder / "broker.key.pem"


@pytest.fixture
async def storage(machine: Machine) -> AsyncIterator[Storage]:
    """A storage service that the machine trusts."""
    async with serving_storage(*certificate(machine)) as storage:
        yield storage


async def _by_requests(url: str, audience: str) -> int:
    def put() -> int:
        auth = RequestsAuth(audiences=audience)
        return requests.put(url, data=b"what is stored", auth=auth, timeout=10).status_code

    return await asyncio.to_thread(put)


async def _by_httpx(url: str, audience: str) -> int:
    def put() -> int:
        auth = HttpxAuth(audiences=audience)
        with httpx.Client(auth=auth, follow_redirects=True) as client:
            return client.put(url, content=b"what is stored").status_code

    return await asyncio.to_thread(put)


async def _by_async_httpx(url: str, audience: str) -> int:
    auth = HttpxAuth(audiences=audience)
    async with httpx.AsyncClient(auth=auth, follow_redirects=True) as client:
        return (await client.put(url, content=b"what is stored")).status_code


@pytest.fixture(params=[_by_requests, _by_httpx, _by_async_httpx])
def put(request: pytest.FixtureRequest) -> Put:
    """Each library in turn."""
    way: Put = request.param
    return way


async def test_a_refused_token_is_replaced_and_the_body_sent_again(
    machine: Machine, storage: Storage, put: Put
) -> None:
    """What is stored, is stored once."""
    assert await put(f"{storage.url}/file", storage.url) == 200
    storage.refused.add("jti-1")
    assert await put(f"{storage.url}/file", storage.url) == 200
    assert storage.seen == ["jti-1", "jti-1", "jti-2"]
    assert storage.stored == [b"what is stored"] * 2
    assert machine.broker.count(native.TOKENS) == 2


async def test_another_service_never_sees_the_token(
    machine: Machine, storage: Storage, put: Put
) -> None:
    """Although the first one sends everybody there, and it listens on the same host."""
    async with serving_storage(*certificate(machine)) as other:
        storage.sends_on_to = f"{other.url}/file"
        assert await put(f"{storage.url}/file", storage.url) == 401
        assert (storage.seen, other.seen) == (["jti-1"], [None])


async def test_a_hundred_tasks_and_threads_send_one_request(machine: Machine) -> None:
    """The broker counts them."""
    in_threads = (asyncio.to_thread(fresh_token) for _ in range(50))
    tokens = await asyncio.gather(*(fresh_token_async() for _ in range(50)), *in_threads)
    assert {token.jti for token in tokens} == {"jti-1"}
    assert machine.broker.count(native.TOKENS) == 1


async def test_a_login_that_is_over_is_said_with_its_command(machine: Machine) -> None:
    """At the first call."""
    machine.end_login()
    with pytest.raises(LeaseEnded) as told:
        await fresh_token_async()
    assert told.value.remedy == "Log in again with: credbroker login cms --role default"
