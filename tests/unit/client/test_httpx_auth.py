"""`httpx`: every request carries a good token, and no other host ever sees one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from credbroker.client import httpx_auth
from credbroker.client.httpx_auth import BearerAuth
from credbroker.domain.errors import Malformed, NotAllowed
from tests.unit.client.service import DAV, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A storage service, in a world where this program's tokens come from it."""
    service = Service()
    monkeypatch.setattr(httpx_auth, "holding", lambda: service.holding)
    return service


@pytest.fixture(params=["blocking", "async"])
def send(request: pytest.FixtureRequest, service: Service) -> Callable[..., httpx.Response]:
    """A way to send a request with a token on it: by a client of either kind."""

    def reached(sent: httpx.Request) -> httpx.Response:
        status, headers = service.answer(
            sent.method, str(sent.url), sent.headers.get("Authorization"), sent.content
        )
        return httpx.Response(status, headers=headers)

    async def reached_async(sent: httpx.Request) -> httpx.Response:
        await sent.aread()
        return reached(sent)

    auth = BearerAuth(audiences=[DAV])

    async def send_async(method: str, url: str, **more: Any) -> httpx.Response:
        transport = httpx.MockTransport(reached_async)
        async with httpx.AsyncClient(
            auth=auth, transport=transport, trust_env=False, follow_redirects=True
        ) as client:
            return await client.request(method, url, **more)

    def send(method: str, url: str, **more: Any) -> httpx.Response:
        transport = httpx.MockTransport(reached)
        with httpx.Client(
            auth=auth, transport=transport, trust_env=False, follow_redirects=True
        ) as client:
            return client.request(method, url, **more)

    if request.param == "blocking":
        return send
    return lambda *words, **more: asyncio.run(send_async(*words, **more))


def test_each_request_carries_the_token_that_is_held(
    service: Service, send: Callable[..., httpx.Response]
) -> None:
    """One is asked for, with what was said of it."""
    assert [send("GET", f"{DAV}/file").status_code for _ in range(3)] == [200] * 3
    assert service.bearers == ["jti-1"] * 3
    (wish,) = service.taken
    assert wish.audiences == (DAV,)


def test_a_token_that_is_not_good_any_more_is_replaced_and_the_request_repeated(
    service: Service, send: Callable[..., httpx.Response]
) -> None:
    """Once, with its body, and its history says so."""
    send("GET", f"{DAV}/file")
    service.grow_old()
    answer = send("PUT", f"{DAV}/file", content="what is stored")
    assert answer.status_code == 200
    assert [one.status_code for one in answer.history] == [401]
    assert service.bearers == ["jti-1", "jti-1", "jti-2"]
    assert service.seen[-1].body == b"what is stored"


def test_a_second_refusal_is_the_answer(
    service: Service, send: Callable[..., httpx.Response]
) -> None:
    """No request is sent a third time."""
    send("GET", f"{DAV}/file")
    service.grow_old()
    service.refused.add("jti-2")
    assert send("GET", f"{DAV}/file").status_code == 401
    assert service.bearers == ["jti-1", "jti-1", "jti-2"]


def test_without_another_token_nothing_is_repeated(
    service: Service, send: Callable[..., httpx.Response]
) -> None:
    """The same token would be refused again."""
    service.newest = False
    send("GET", f"{DAV}/file")
    service.grow_old()
    assert send("GET", f"{DAV}/file").status_code == 401
    assert service.bearers == ["jti-1"] * 2


@pytest.mark.parametrize(
    ("path", "bearers"),
    [
        ("/near", ["jti-1", "jti-1"]),
        ("/far", ["jti-1", None]),
        ("/port", ["jti-1", None]),
        ("/plain", ["jti-1", None]),
    ],
)
def test_a_redirect_takes_the_token_along_to_the_same_place_only(
    service: Service,
    send: Callable[..., httpx.Response],
    path: str,
    bearers: list[str | None],
) -> None:
    """Also if what is there asks for it."""
    send("GET", f"{DAV}{path}")
    assert service.bearers == bearers


@pytest.mark.parametrize(
    "url", ["http://dav.example.org/file", "https://far.example.org/", f"{DAV}:8443/"]
)
def test_what_may_not_carry_the_token_is_not_sent(
    service: Service, send: Callable[..., httpx.Response], url: str
) -> None:
    """Nor is a token asked for."""
    with pytest.raises(NotAllowed):
        send("GET", url)
    assert not service.seen
    assert not service.taken


def test_a_body_that_can_be_read_once_is_not_sent_twice(service: Service) -> None:
    """The next request has the new token."""

    class Wire(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.SyncByteStream)
            body, bearer = b"".join(request.stream), request.headers.get("Authorization")
            status, headers = service.answer(request.method, str(request.url), bearer, body)
            return httpx.Response(status, headers=headers)

    def pieces() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    with httpx.Client(auth=BearerAuth(hosts="dav.example.org"), transport=Wire()) as client:
        client.get(f"{DAV}/file")
        service.grow_old()
        assert client.put(f"{DAV}/file", content=pieces()).status_code == 401
        assert client.put(f"{DAV}/file", content=b"ab").status_code == 200


@pytest.mark.parametrize("wanted", [{}, {"audiences": "fts"}, {"hosts": []}, {"scopes": ""}])
def test_hosts_and_names_must_be_said_right(wanted: Mapping[str, Any]) -> None:
    """It is found out where it is written, not at the first request."""
    with pytest.raises(Malformed):
        BearerAuth(**wanted)
