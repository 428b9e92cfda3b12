"""`requests`: every request carries a good token, and no other host ever sees one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from credbroker.client import requests_auth
from credbroker.client.requests_auth import BearerAuth
from credbroker.domain.errors import Malformed, NotAllowed
from tests.unit.client.service import DAV, Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Wire(HTTPAdapter):
    """Takes requests to the service, without a socket."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer one request."""
        body: Any = request.body or b""
        sent = body.encode() if isinstance(body, str) else body
        sent = sent if isinstance(sent, bytes) else b"".join(sent)
        status, headers = self.service.answer(
            str(request.method), str(request.url), request.headers.get("Authorization"), sent
        )
        answer = requests.Response()
        answer.status_code, answer.raw, answer.request = status, io.BytesIO(b"said"), request
        answer.headers.update(headers)
        answer.url, answer.connection = str(request.url), self
        return answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A storage service, in a world where this program's tokens come from it."""
    service = Service()
    monkeypatch.setattr(requests_auth, "holding", lambda: service.holding)
    return service


@pytest.fixture
def session(service: Service) -> Iterator[requests.Session]:
    """A session that puts a token on everything."""
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, Wire(service))
        session.auth = BearerAuth(audiences=[DAV])
        yield session


def test_each_request_carries_the_token_that_is_held(
    service: Service, session: requests.Session
) -> None:
    """One is asked for, with what was said of it."""
    assert [session.get(f"{DAV}/file").status_code for _ in range(3)] == [200] * 3
    assert service.bearers == ["jti-1"] * 3
    (wish,) = service.taken
    assert wish.audiences == (DAV,)


def test_a_token_that_is_not_good_any_more_is_replaced_and_the_request_repeated(
    service: Service, session: requests.Session
) -> None:
    """Once, with its body, and its history says so."""
    session.get(f"{DAV}/file")
    service.grow_old()
    answer = session.put(f"{DAV}/file", data="what is stored")
    assert answer.status_code == 200
    assert [one.status_code for one in answer.history] == [401]
    assert service.bearers == ["jti-1", "jti-1", "jti-2"]
    assert service.seen[-1].body == b"what is stored"
    assert session.get(f"{DAV}/file").status_code == 200


def test_a_second_refusal_is_the_answer(service: Service, session: requests.Session) -> None:
    """No request is sent a third time."""
    session.get(f"{DAV}/file")
    service.grow_old()
    service.refused.add("jti-2")
    assert session.get(f"{DAV}/file").status_code == 401
    assert service.bearers == ["jti-1", "jti-1", "jti-2"]


def test_without_another_token_nothing_is_repeated(
    service: Service, session: requests.Session
) -> None:
    """The same token would be refused again."""
    service.newest = False
    session.get(f"{DAV}/file")
    service.grow_old()
    assert session.get(f"{DAV}/file").status_code == 401
    assert service.bearers == ["jti-1"] * 2


def test_a_body_that_can_be_read_once_is_not_sent_twice(
    service: Service, session: requests.Session
) -> None:
    """The next request has the new token."""
    session.get(f"{DAV}/file")
    service.grow_old()
    assert session.put(f"{DAV}/file", data=iter([b"a", b"b"])).status_code == 401
    assert session.put(f"{DAV}/file", data=b"ab").status_code == 200
    assert service.bearers == ["jti-1", "jti-1", "jti-1", "jti-2"]


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
    service: Service, session: requests.Session, path: str, bearers: list[str | None]
) -> None:
    """Also if what is there asks for it."""
    session.get(f"{DAV}{path}")
    assert service.bearers == bearers


@pytest.mark.parametrize(
    "url", ["http://dav.example.org/file", "https://far.example.org/", f"{DAV}:8443/"]
)
def test_what_may_not_carry_the_token_is_not_sent(
    service: Service, session: requests.Session, url: str
) -> None:
    """Nor is a token asked for."""
    with pytest.raises(NotAllowed):
        session.get(url)
    assert not service.seen
    assert not service.taken


@pytest.mark.parametrize("wanted", [{}, {"audiences": "fts"}, {"hosts": []}, {"scopes": ""}])
def test_hosts_and_names_must_be_said_right(wanted: Mapping[str, Any]) -> None:
    """It is found out where it is written, not at the first request."""
    with pytest.raises(Malformed):
        BearerAuth(**wanted)
