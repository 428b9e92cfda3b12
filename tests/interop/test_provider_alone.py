"""The foreign issuer does what the tests against it rely on, asked by a client with no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.interop.bare_client import BareClient, bare_client
from tests.interop.person import LoginFailedError, Person
from tests.interop.provider_server import STOP_LIMIT_SECONDS, ProviderError, ProviderServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Installing the issuer counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

WIDE = "openid offline_access storage.read:/ compute.read"


@pytest.fixture
async def client(oidc_provider: ProviderServer) -> AsyncIterator[BareClient]:
    """A client of the issuer."""
    async with bare_client(oidc_provider) as somebody:
        yield somebody


@pytest.fixture
async def tokens(client: BareClient, person: Person) -> dict[str, Any]:
    """What a finished device login gave."""
    device = await client.start(scope=WIDE)
    await person.log_in(device["verification_uri_complete"])
    status, body = await client.poll(device)
    assert status == 200, body
    return body


async def test_discovery_names_what_a_broker_needs(
    client: BareClient, oidc_provider: ProviderServer
) -> None:
    """All endpoints, the issuer's own name, and keys of both kinds."""
    found = await client.discovery()
    assert found["issuer"] == oidc_provider.url
    for endpoint in ("device_authorization", "token", "revocation", "introspection"):
        assert found[f"{endpoint}_endpoint"].startswith(oidc_provider.url)
    keys = (await client.get(found["jwks_uri"]))["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}


async def test_a_poll_before_the_person_confirms_is_told_to_wait(client: BareClient) -> None:
    """It is pending, and the issuer names no interval: a client falls back to 5 seconds."""
    device = await client.start(scope=WIDE)
    assert "interval" not in device
    status, body = await client.poll(device)
    assert (status, body["error"]) == (400, "authorization_pending")


async def test_a_device_login_gives_all_three_tokens_once(
    client: BareClient, person: Person
) -> None:
    """The answer to the poll holds them; the device code is worth nothing after it."""
    device = await client.start(scope=WIDE)
    await person.log_in(device["verification_uri_complete"])
    status, body = await client.poll(device)
    assert status == 200
    assert {"access_token", "refresh_token", "id_token"} <= body.keys()
    status, body = await client.poll(device)
    assert (status, body["error"]) == (400, "invalid_grant")


async def test_somebody_already_logged_in_only_confirms(client: BareClient, person: Person) -> None:
    """A second device in the same browser works too, without another password."""
    for _ in range(2):
        device = await client.start(scope=WIDE)
        await person.log_in(device["verification_uri_complete"])
        status, _body = await client.poll(device)
        assert status == 200


async def test_a_person_who_refuses_is_reported_as_such(client: BareClient, person: Person) -> None:
    """The next poll says that access was denied."""
    device = await client.start(scope=WIDE)
    await person.refuse(device["verification_uri_complete"])
    status, body = await client.poll(device)
    assert (status, body["error"]) == (400, "access_denied")


async def test_a_person_with_a_wrong_code_is_told(
    oidc_provider: ProviderServer, person: Person
) -> None:
    """A login that goes nowhere is an error, never silence."""
    with pytest.raises(LoginFailedError):
        await person.log_in(f"{oidc_provider.url}/device?user_code=BBBB-BBBB")


async def test_the_access_token_follows_the_wlcg_profile(
    client: BareClient, oidc_provider: ProviderServer, tokens: dict[str, Any]
) -> None:
    """A signed JWT for the default audience, with the rights asked for and the profile's version."""
    header, claims = await client.claims(tokens["access_token"])
    assert (header["alg"], header["typ"]) == ("RS256", "at+jwt")
    assert claims["iss"] == oidc_provider.url
    assert claims["sub"] == "alice"
    assert claims["aud"] == oidc_provider.settings.audiences[0]
    assert claims["wlcg.ver"] == "1.0"
    assert claims["scope"] == tokens["scope"] == "storage.read:/ compute.read"


async def test_all_lifetimes_are_as_set(
    client: BareClient, oidc_provider: ProviderServer, tokens: dict[str, Any]
) -> None:
    """Of device codes, of access tokens, and of refresh tokens, which start anew when rotated."""
    settings = oidc_provider.settings
    device = await client.start(scope=WIDE)
    assert device["expires_in"] == settings.device_code_seconds
    assert tokens["expires_in"] == settings.access_token_seconds
    _, claims = await client.claims(tokens["access_token"])
    assert claims["exp"] - claims["iat"] == settings.access_token_seconds
    _, refreshed = await client.refresh(tokens["refresh_token"])
    shown = await client.introspect(refreshed["refresh_token"])
    assert shown["exp"] - shown["iat"] == settings.refresh_token_seconds


async def test_a_refresh_narrows_the_scope_and_names_the_audience(
    client: BareClient, oidc_provider: ProviderServer, tokens: dict[str, Any]
) -> None:
    """The new access token holds just that."""
    other = oidc_provider.settings.audiences[1]
    status, body = await client.refresh(
        tokens["refresh_token"], scope="compute.read", resource=other
    )
    assert status == 200
    _, claims = await client.claims(body["access_token"])
    assert (claims["scope"], claims["aud"]) == ("compute.read", other)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"scope": "storage.modify:/user"}, "invalid_scope"),
        ({"scope": "storage.read:/user"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
    ],
)
async def test_a_refresh_beyond_the_grant_is_refused(
    client: BareClient, tokens: dict[str, Any], asked: dict[str, str], error: str
) -> None:
    """More than granted, a path below a granted one, an audience nobody knows."""
    status, body = await client.refresh(tokens["refresh_token"], **asked)
    assert (status, body["error"]) == (400, error)


async def test_each_refresh_gives_a_new_refresh_token(
    client: BareClient, tokens: dict[str, Any]
) -> None:
    """It works the next time, and the answers differ each time."""
    values = [tokens["refresh_token"]]
    for _ in range(3):
        status, body = await client.refresh(values[-1])
        assert status == 200
        values.append(body["refresh_token"])
    assert len(set(values)) == 4
    assert await client.is_active(values[-1])


async def test_a_replayed_refresh_token_ends_its_whole_family(
    client: BareClient, tokens: dict[str, Any]
) -> None:
    """The replay is refused, and the successor, unused and in other hands, is dead as well."""
    _, first = await client.refresh(tokens["refresh_token"])
    assert await client.is_active(first["refresh_token"])
    status, body = await client.refresh(tokens["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")
    assert not await client.is_active(first["refresh_token"])
    status, body = await client.refresh(first["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")


async def test_a_replay_leaves_other_logins_of_the_person_alone(
    client: BareClient, oidc_provider: ProviderServer, tokens: dict[str, Any]
) -> None:
    """A login in another browser is another family."""
    async with Person("alice", oidc_provider.ca_file) as again:
        device = await client.start(scope=WIDE)
        await again.log_in(device["verification_uri_complete"])
    _, other = await client.poll(device)
    await client.refresh(tokens["refresh_token"])
    await client.refresh(tokens["refresh_token"])
    assert await client.is_active(other["refresh_token"])


async def test_a_revoked_refresh_token_is_dead(client: BareClient, tokens: dict[str, Any]) -> None:
    """Revocation says 200, also the second time (RFC 7009 section 2.2)."""
    assert await client.is_active(tokens["refresh_token"])
    for _ in range(2):
        status, _body = await client.post("revocation_endpoint", token=tokens["refresh_token"])
        assert status == 200
    status, body = await client.refresh(tokens["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")


async def test_a_wrong_client_secret_harms_no_grant(
    client: BareClient, tokens: dict[str, Any]
) -> None:
    """The refresh is refused for the client's sake, and works with the right secret after."""
    right, client.secret = client.secret, "wrong"
    status, body = await client.refresh(tokens["refresh_token"])
    assert (status, body["error"]) == (401, "invalid_client")
    client.secret = right
    status, _body = await client.refresh(tokens["refresh_token"])
    assert status == 200


async def test_the_log_counts_refreshes_and_holds_no_secret(
    client: BareClient, oidc_provider: ProviderServer, tokens: dict[str, Any]
) -> None:
    """One line per request, so that a test can count posts; nothing in it opens anything."""
    before = oidc_provider.log_file.read_text().count("POST /token 200 refresh_token")
    _, body = await client.refresh(tokens["refresh_token"])
    log = oidc_provider.log_file.read_text()
    assert log.count("POST /token 200 refresh_token") == before + 1
    secrets = [client.secret, tokens["refresh_token"], body["refresh_token"], body["access_token"]]
    assert not [secret for secret in secrets if secret in log]


def test_an_issuer_that_cannot_start_says_why(
    tmp_path: Path, oidc_provider: ProviderServer
) -> None:
    """Where the port is taken, the error holds the log, and nothing is left running."""
    server = ProviderServer(tmp_path, make_authority(tmp_path, SystemClock()), SystemEntropy())
    server.url = oidc_provider.url
    with pytest.raises(ProviderError, match="EADDRINUSE"):
        server.start()
    server.stop()


def test_an_issuer_whose_starter_is_gone_ends_by_itself(
    tmp_path: Path, oidc_provider: ProviderServer
) -> None:
    """A killed test run leaves no issuer behind: its stdin closes, and that is enough."""
    server = ProviderServer(tmp_path, make_authority(tmp_path, SystemClock()), SystemEntropy())
    server.start()
    try:
        assert server._child is not None
        assert server._child.stdin is not None
        server._child.stdin.close()
        assert server._child.wait(STOP_LIMIT_SECONDS) == 0
    finally:
        server.stop()
