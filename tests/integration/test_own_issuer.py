"""A broker that is a community's issuer, on real parts: from its settings to a token that verifies."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from credbroker.config.community_faults import RESERVED

if TYPE_CHECKING:
    from tests.answers import Answer
    from tests.integration.broker_world import BrokerWorld, Replica

SECRET = "a secret of a service, 256 bits long or so"
ISSUER = "https://tokens.example.org/dteam/"
STORAGE = "https://se.example.org"
READ = "storage.read:/dteam/data"
COMMUNITY = {
    "url": ISSUER,
    "algorithm": "ES256",
    "audiences": {STORAGE: {"algorithm": "RS256"}},
    "clients": {
        "rucio": {
            "secret_sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
            "scopes": ["storage.read:/dteam", "storage.modify:/dteam/data", "offline_access"],
            "audiences": [STORAGE, "https://fts.example.org"],
            "default_scopes": [READ],
        },
        "fts": {
            "secret_sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
            "grants": ["client_credentials", "token_exchange", "refresh_token"],
            "exchanges_for": ["rucio"],
            "scopes": [],
            "audiences": [STORAGE],
        },
    },
}
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
}


@pytest.fixture
async def broker(broker_world: BrokerWorld) -> Replica:
    """A broker with one community."""
    return await broker_world.replica(more={"communities": {"dteam": COMMUNITY}})


async def post(broker: Replica, path: str, client: str, **form: str) -> Answer:
    """Send a form as a client that logs in."""
    shown = base64.b64encode(f"{client}:{SECRET}".encode()).decode()
    headers = {
        "Authorization": f"Basic {shown}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return await broker.ask("POST", path, body=urlencode(form).encode(), headers=headers)


async def claims_of(broker: Replica, token: str) -> dict[str, Any]:
    """Return the claims of a token that the published keys verify."""
    keys = KeySet.import_key_set((await broker.ask("GET", "/dteam/jwks")).json)  # type: ignore[arg-type]  # plain JSON
    return dict(jwt.decode(token, keys, algorithms=["RS256", "ES256"]).claims)


async def test_a_service_gets_a_token_that_the_published_keys_verify(broker: Replica) -> None:
    """The metadata lead to the keys; the answer says what the token says."""
    metadata = (await broker.ask("GET", "/dteam/.well-known/openid-configuration")).json
    assert metadata["issuer"] == ISSUER
    assert metadata["jwks_uri"] == f"{ISSUER}jwks"
    given = await post(
        broker, "/dteam/token", "rucio", grant_type="client_credentials", audience=STORAGE
    )
    assert given.status == 200, given
    claims = await claims_of(broker, given.json["access_token"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, "rucio", STORAGE)
    assert claims["scope"] == given.json["scope"] == READ
    assert claims["exp"] - claims["iat"] <= 3600


async def test_a_broker_may_be_an_issuer_and_nothing_else(broker_world: BrokerWorld) -> None:
    """It signs, says that it is well, and has nobody log in."""
    broker = await broker_world.replica(more={"issuers": {}, "communities": {"dteam": COMMUNITY}})
    given = await post(
        broker, "/dteam/token", "rucio", grant_type="client_credentials", audience=STORAGE
    )
    assert given.status == 200, given
    for path in ("/livez", "/readyz", "/health", "/metrics", "/mine", "/htgettokenopts.txt"):
        assert (await broker.ask("GET", path)).status < 500, path
    offered = await broker.ask("GET", "/api/v1/issuers")
    assert (offered.status, offered.json["issuers"]) == (200, [])
    login = {"issuer": broker_world.issuer_name}
    assert 400 <= (await broker.ask("POST", "/api/v1/logins", body=login)).status < 500


async def test_what_a_client_may_not_have_is_refused_in_the_words_of_the_standard(
    broker: Replica,
) -> None:
    """And a wrong secret, a wrong audience, a wrong grant."""
    wide = {"grant_type": "client_credentials", "audience": STORAGE, "scope": "storage.read:/"}
    refused = await post(broker, "/dteam/token", "rucio", **wide)
    assert (refused.status, refused.json["error"]) == (400, "invalid_scope")
    stranger = await post(broker, "/dteam/token", "nobody", grant_type="client_credentials")
    assert (stranger.status, stranger.json["error"]) == (401, "invalid_client")


async def test_no_community_can_lie_where_the_broker_serves_something_else(broker: Replica) -> None:
    """What is reserved is all that is served, but for the communities themselves."""
    assert broker.daemon is not None
    paths = [one.canonical for one in broker.daemon.app.router.resources()]
    served = {path.split("/")[1] for path in paths if not path.startswith("/dteam/")}
    assert served == RESERVED


async def test_a_transfer_service_exchanges_a_token_and_refreshes_for_days(
    broker: Replica, broker_world: BrokerWorld
) -> None:
    """The same refresh token each time; revoked, it is good for nothing more."""
    first = await post(
        broker, "/dteam/token", "rucio", grant_type="client_credentials", audience=STORAGE,
        scope=f"{READ} offline_access",
    )  # fmt: skip
    subject = {"subject_token": first.json["access_token"], "scope": f"{READ} offline_access"}
    exchanged = await post(broker, "/dteam/token", "fts", **EXCHANGE, **subject)
    assert exchanged.status == 200, exchanged
    again = await post(broker, "/dteam/token", "fts", **EXCHANGE, **subject)
    shown = exchanged.json["refresh_token"]
    assert again.json["refresh_token"] == shown
    for _ in range(2):
        refreshed = await post(
            broker, "/dteam/token", "fts", grant_type="refresh_token", refresh_token=shown
        )
        assert refreshed.status == 200, refreshed
        assert refreshed.json["refresh_token"] == shown
    claims = await claims_of(broker, refreshed.json["access_token"])
    assert (claims["sub"], claims["act"]) == ("rucio", {"sub": "fts"})
    assert (await post(broker, "/dteam/revoke", "fts", token=shown)).status == 200
    over = await post(
        broker, "/dteam/token", "fts", grant_type="refresh_token", refresh_token=shown
    )
    assert (over.status, over.json["error"]) == (400, "invalid_grant")
    trail = (broker_world.folder / "audit" / "audit-one.jsonl").read_text()
    signed = [json.loads(line) for line in trail.splitlines() if '"event":"sign"' in line]
    assert {one["by"] for one in signed} == {
        "client_credentials", "token_exchange", "refresh_token",
    }  # fmt: skip
    assert shown not in trail
