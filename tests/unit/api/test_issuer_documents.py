"""Metadata and keys are found by every client, kept by caches, and never mistaken for something else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from credbroker.api.app import build_app
from credbroker.api.oauth import issuer_routes
from credbroker.api.strangers import Strangers
from credbroker.domain.errors import KeysMissing
from credbroker.domain.limits import Allowance
from tests.fakes.audit import FakeAudit
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.granting import URL, FakeCommunity
from tests.unit.api.oauth_world import Asker, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OTHER = "https://tokens.example.org:8200/ops/"
METADATA = "/dteam/.well-known/openid-configuration"
JWKS = "/dteam/jwks"


@pytest.fixture
def community() -> FakeCommunity:
    """The issuer under test."""
    return FakeCommunity()


@pytest.fixture
async def asker(community: FakeCommunity) -> AsyncIterator[Asker]:
    """Two communities behind one port."""
    async with served(community.as_issuer(), FakeCommunity(OTHER).as_issuer()) as asker:
        yield asker


@pytest.mark.parametrize(
    "target",
    [
        METADATA,
        "/dteam//.well-known/openid-configuration",
        "/dteam/.well-known/oauth-authorization-server",
        "/dteam/.well-known/openid-configuration/",
        "/.well-known/oauth-authorization-server/dteam",
        "/.well-known/openid-configuration/dteam/",
        "https://tokens.example.org:8200/dteam/.well-known/openid-configuration",
        "https://tokens.example.org:8200/dteam//.well-known/openid-configuration",
        "https://192.0.2.1/.well-known/oauth-authorization-server/dteam?x=y",
    ],
)
async def test_the_metadata_are_found_however_a_client_looks_for_them(
    asker: Asker, target: str
) -> None:
    """Also by the absolute request lines of ARC CE; the issuer is the exact string, byte for byte."""
    said = await asker.ask(target)
    assert said.status == 200
    assert said.json["issuer"] == URL
    assert said.json["jwks_uri"] == URL + "jwks"
    assert said.json["token_endpoint"] == URL + "token"


async def test_each_community_has_its_own(asker: Asker) -> None:
    """Metadata name their own issuer and nobody else's."""
    said = await asker.ask("/ops/.well-known/openid-configuration")
    assert said.json["issuer"] == OTHER


async def test_the_metadata_hold_what_the_standards_require(asker: Asker) -> None:
    """RFC 8414 section 2, and no empty list (section 3.2)."""
    said = (await asker.ask(METADATA)).json
    assert all(said.values())
    assert said["response_types_supported"] == ["none"]
    assert "client_credentials" in said["grant_types_supported"]
    for endpoint in ("token", "revocation", "introspection"):
        assert said[f"{endpoint}_endpoint"].startswith(URL)
        assert said[f"{endpoint}_endpoint_auth_methods_supported"] == [
            "client_secret_basic", "client_secret_post",
        ]  # fmt: skip


@pytest.mark.parametrize("target", [METADATA, JWKS])
async def test_a_document_may_be_kept_and_is_asked_for_again_cheaply(
    asker: Asker, target: str
) -> None:
    """`Cache-Control`, and `ETag` with 304 for who has it already."""
    first = await asker.ask(target)
    assert first.headers["cache-control"] == "public, max-age=3600"
    assert first.headers["content-type"] == "application/json"
    again = await asker.ask(target, headers={"If-None-Match": f'W/"x", {first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = await asker.ask(target, headers={"If-None-Match": '"another"'})
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("target", [METADATA, JWKS])
async def test_a_head_has_the_headers_and_no_body(asker: Asker, target: str) -> None:
    """RFC 9110 section 9.3.2."""
    whole, head = await asker.ask(target), await asker.ask(target, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))


async def test_new_keys_are_answered_at_once_with_a_tag_of_their_own(
    asker: Asker, community: FakeCommunity
) -> None:
    """Whoever asks with the old tag gets them."""
    old = await asker.ask(JWKS)
    community.signing.keys = b'{"keys":[{"kid":"new"}]}'
    new = await asker.ask(JWKS, headers={"If-None-Match": old.headers["etag"]})
    assert (new.status, new.body) == (200, community.signing.keys)
    assert new.headers["etag"] != old.headers["etag"]


async def test_missing_keys_are_told_and_not_kept(asker: Asker, community: FakeCommunity) -> None:
    """An empty set that somebody keeps for a day would refuse every token."""
    community.signing.keys = KeysMissing("There are no keys yet.")
    said = await asker.ask(JWKS)
    assert said.status == 503
    assert said.headers["cache-control"] == "no-store"
    assert said.headers["retry-after"] == "2"
    assert not said.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "target", [METADATA, JWKS, "/.well-known/oauth-authorization-server/dteam"]
)
async def test_documents_are_only_read(asker: Asker, target: str, method: str) -> None:
    """And the answer that says so is no JSON."""
    said = await asker.ask(target, method)
    assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")
    assert said.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "target",
    [
        "/nobody/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/nobody",
        "/dteam/x/.well-known/openid-configuration",
        "/.well-known/openid-configuration",
        "//.well-known/openid-configuration",
    ],
)
async def test_where_metadata_are_looked_for_there_is_no_json_without_keys(
    asker: Asker, target: str
) -> None:
    """ARC CE dies of metadata without `jwks_uri`, which any JSON is to it."""
    said = await asker.ask(target)
    assert said.status == 404
    assert said.headers["content-type"].startswith("text/plain")
    with pytest.raises(ValueError):
        json.loads(said.body)


async def test_no_json_is_there_for_who_expects_what_nobody_does(asker: Asker) -> None:
    """That is answered before any route is looked for."""
    said = await asker.ask(METADATA, headers={"Expect": "the-unexpected"})
    assert said.status == 417
    assert said.headers["content-type"].startswith("text/plain")


async def test_a_document_is_read_like_any_other_page(asker: Asker) -> None:
    """By old clients, several times over one connection, and after what should not have come."""
    old = await asker.raw(f"GET {JWKS} HTTP/1.0\r\n\r\n".encode())
    assert (old.status, old.json) == (200, {"keys": []})
    ask = f"{{}} {JWKS} HTTP/1.1\r\nHost: a\r\n{{}}\r\n"
    close = "Connection: close\r\n"
    many = await asker.raw(
        "".join(
            [ask.format("GET", ""), ask.format("POST", "Content-Length: 5\r\n"), "hello",
             ask.format("HEAD", ""), ask.format("GET", close)]
        ).encode()
    )  # fmt: skip
    assert many.status == 200
    statuses = re.findall(rb"HTTP/1.1 (\d+)", many.body)
    assert statuses == [b"405", b"200", b"200"]
    assert many.body.count(b'{"keys":[]}') == 2
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    smuggled = await asker.raw((ask.format("GET", both) + "0\r\n\r\n").encode())
    assert smuggled.status == 400


async def test_documents_carry_no_request_id(asker: Asker) -> None:
    """They are the same for all, and a cache would hand the id on."""
    said = await asker.ask(METADATA, headers={"X-Request-Id": "abcdefgh12"})
    assert "x-request-id" not in said.headers


async def test_under_another_server_the_documents_are_the_same(community: FakeCommunity) -> None:
    """Our own answers them before it looks for a route; the routes are there all the same."""
    clock = FakeClock()
    strangers = Strangers(Allowance(1.0, 1), clock)
    routes = issuer_routes([community.as_issuer()], strangers, clock)
    app = build_app([], routes, FakeEntropy(), FakeAudit(), "https://b")
    async with TestClient(TestServer(app)) as client, client.get(METADATA) as said:
        assert (await said.json())["issuer"] == URL
        assert said.headers["Cache-Control"] == "public, max-age=3600"
        assert "X-Request-Id" not in said.headers
