"""Reading, storing and deleting as HTVault's clients do it, and vault tokens as they know them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from tests.answers import Answer
from tests.integration.broker_world import ACCESS_SECONDS, READ

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld, Replica

DEADLY = "permission denied"
JOB_SCOPE, JOB_AUDIENCE = "storage.read:/job", "https://se"
TOKENS = "/v1/auth/token"
DAY = 86400


@pytest.fixture
async def broker(broker_world: BrokerWorld) -> Replica:
    """One broker."""
    return await broker_world.replica()


class Client:
    """Somebody with a vault token, who speaks as those clients do: JSON without a content type."""

    def __init__(self, broker: Replica, lease: str) -> None:
        self.broker = broker
        self.lease = lease

    def path(self, who: str = "alice:default", kind: str = "creds") -> str:
        """Return the path of a stored login."""
        return f"/v1/secret/oauth/{kind}/{self.broker.world.issuer_name}/{who}"

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Send one request, with the path as it is."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        async with self.broker.world.http.request(
            method,
            URL(self.broker.url + path, encoded=True),
            data=body,
            headers={"X-Vault-Token": self.lease},
            skip_auto_headers=["Content-Type"],
        ) as answered:
            return Answer(answered.status, answered.headers.copy(), await answered.read())

    async def read(self, query: str = "", kind: str = "creds") -> Answer:
        """Ask for a token of the own login."""
        return await self.ask("GET", f"{self.path(kind=kind)}?{query}")

    async def shorter(self, **body: object) -> Client:
        """Exchange the vault token, as htgettoken does."""
        answer = await self.ask("POST", f"{TOKENS}/create", body)
        assert answer.status == 200, answer
        return Client(self.broker, answer.json["auth"]["client_token"])


@pytest.fixture
async def alice(broker: Replica) -> Client:
    """Somebody who has logged in."""
    return Client(broker, await broker.log_in())


def claims(answer: Answer) -> dict[str, Any]:
    """Return what the access token of an answer says."""
    assert answer.status == 200, answer
    part = answer.json["data"]["access_token"].split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    audience = read.get("aud", [])  # a list, or the one (RFC 7519 section 4.1.3)
    return read | {"aud": [audience] if isinstance(audience, str) else audience}


def said(answer: Answer) -> str:
    """Return the words of an answer that is no success; there are some."""
    assert answer.status >= 400, answer
    (text,) = answer.json["errors"]
    assert len(text) > 20
    return str(text)


# Tokens


async def test_a_vault_token_reads_the_whole_token_and_the_same_one_again(alice: Client) -> None:
    """The fields are HTVault's."""
    first, again = await alice.read(), await alice.read("minimum_seconds=60")
    data = first.json["data"]
    assert (data["server"], data["type"]) == (alice.broker.world.issuer_name, "Bearer")
    assert data["expire_time"].endswith("Z")
    assert claims(first) == claims(again)
    assert set(claims(first)["scope"].split()) >= {READ, "storage.create:/"}


@pytest.mark.parametrize("kind", ["creds", "sts"])
async def test_scopes_and_audiences_narrow_on_both_paths(alice: Client, kind: str) -> None:
    """Commas and white space divide them; an empty one is not asked for."""
    got = claims(await alice.read(f"scopes={JOB_SCOPE},{READ}&audiences=https://a+https://b", kind))
    assert set(got["scope"].split()) == {JOB_SCOPE, READ}
    assert set(got["aud"]) == {"https://a", "https://b"}
    assert claims(await alice.read(f"audience={JOB_AUDIENCE}", kind))["aud"] == [JOB_AUDIENCE]
    whole = claims(await alice.read("scopes=&audiences=", kind))
    assert "storage.create:/" in whole["scope"]


async def test_a_token_too_short_for_the_caller_is_fetched_anew_or_refused(
    alice: Client, broker_world: BrokerWorld
) -> None:
    """As far as the issuer's tokens live."""
    first = claims(await alice.read())
    broker_world.clock.leap(ACCESS_SECONDS / 4)
    assert claims(await alice.read())["exp"] == first["exp"]
    left = int(ACCESS_SECONDS * 3 / 4)
    assert claims(await alice.read(f"minimum_seconds={left + 5}"))["exp"] > first["exp"]
    assert DEADLY not in said(await alice.read(f"minimum_seconds={ACCESS_SECONDS * 2}"))
    assert (await alice.read("minimum_seconds=many")).status == 400


async def test_a_jobs_lease_reads_its_own_right_and_may_nothing_else(alice: Client) -> None:
    """Neither more on any path, nor storing, nor deleting; and it is kept all the while."""
    job = Client(alice.broker, await alice.broker.job_lease(alice.lease))
    for kind in ("creds", "sts"):
        got = claims(await job.read(kind=kind))
        assert (got["scope"], got["aud"]) == (JOB_SCOPE, [JOB_AUDIENCE])
        assert DEADLY not in said(await job.read(f"scopes={READ}", kind))
    body = {"server": alice.broker.world.issuer_name, "refresh_token": "x"}
    for method, sent in (("POST", body), ("DELETE", None)):
        refused = await job.ask(method, job.path(), sent)
        assert (refused.status, DEADLY in said(refused)) == (403, False)
    below = await job.shorter(ttl="1h")
    assert claims(await below.read())["scope"] == JOB_SCOPE


# What is stored


async def test_deleting_logs_out_at_the_issuer_and_may_be_repeated(
    alice: Client, broker_world: BrokerWorld
) -> None:
    """After that the lease leads nowhere; it alone is told so in the words that delete."""
    await alice.read()
    exchanged = await alice.shorter(ttl="7d")
    for _ in range(2):
        assert (await exchanged.ask("DELETE", exchanged.path())).status == 204
    assert broker_world.grant_of().refresh_token is None
    assert DEADLY in said(await exchanged.read())
    bob = Client(alice.broker, await alice.broker.log_in("bob"))
    assert (await bob.ask("GET", bob.path("bob:default"))).status == 200


@pytest.mark.parametrize("handle", ["eyJhbGciOi.refresh.token", "cb_x", " ", "\x00", "a" * 5000])
async def test_what_is_no_handle_is_refused_and_stored_nowhere(
    alice: Client, broker_world: BrokerWorld, handle: str
) -> None:
    """Be it somebody's refresh token; and nothing of it is repeated."""
    before = broker_world.grant_of()
    body = {"server": broker_world.issuer_name, "refresh_token": handle}
    refused = await alice.ask("POST", alice.path(), body)
    assert (refused.status, DEADLY in said(refused)) == (400, False)
    assert handle.strip("\x00 ") == "" or handle not in said(refused)
    assert broker_world.grant_of() == before


async def test_storing_must_name_the_issuer_of_the_path(alice: Client) -> None:
    """As HTVault wants it."""
    bodies: list[object] = [{"server": "another", "refresh_token": "x"}, {}, b"not json", []]
    for body in bodies:
        assert (await alice.ask("POST", alice.path(), body)).status == 400


@pytest.mark.parametrize(
    "who",
    [
        "bob:default",
        "alice:other",
        "*:default",
        "+:default",
        "alice/../bob:default",
        "alice%2f..%2fbob:default",
        "alice%252f..%252fbob:default",
        "alice:default%00",
        "%00:default",
        "alice:default:default",
        "alice:defaul%74x",
        "alice",
        ":default",
        "alice:",
        "%ff%fe:default",
        "alice%ff:default",
        "%ed%a0%80:default",
        "a" * 4000 + ":default",
        "alice/" + "b" * 4000 + ":default",
        "Alice:default",
        "//alice:default",
    ],
)
async def test_no_trick_in_a_path_reaches_another_login(
    alice: Client, broker_world: BrokerWorld, who: str
) -> None:
    """Nor makes the broker stumble, nor ends what the client has."""
    await alice.broker.log_in("bob")
    for method in ("GET", "POST", "DELETE"):
        sent = (
            {"server": broker_world.issuer_name, "refresh_token": "x"} if method == "POST" else None
        )
        answer = await alice.ask(method, alice.path(who), sent)
        # What lies below the own name may be deleted, and is not there.
        assert answer.status in {400, 403, 404} or (method, answer.status) == ("DELETE", 204), (
            answer
        )
        assert DEADLY not in answer.body.decode()
    assert broker_world.grant_of("bob").refresh_token is not None
    assert broker_world.grant_of("alice").refresh_token is not None


async def test_the_own_name_is_reached_also_in_other_spellings(alice: Client) -> None:
    """Percent-encoding is undone, once."""
    assert (await alice.ask("GET", alice.path("%61lice:default"))).status == 200
    assert (await alice.ask("GET", alice.path("alice%3Adefault"))).status == 200


# Vault tokens


async def test_a_vault_token_is_exchanged_looked_up_and_revoked(alice: Client) -> None:
    """28 days become 7, and those end with what they came from; no policies make them wider."""
    asked = {"ttl": "604800s", "renewable": "false", "policies": ["root"]}
    answer = await alice.ask("POST", f"{TOKENS}/create", json.dumps(asked).encode())
    auth = answer.json["auth"]
    assert (auth["policies"], auth["renewable"]) == ([], False)
    assert 7 * DAY - 5 <= auth["lease_duration"] <= 7 * DAY
    child = Client(alice.broker, auth["client_token"])
    looked = (await child.ask("GET", f"{TOKENS}/lookup-self")).json["data"]
    assert 7 * DAY - 10 <= looked["ttl"] <= 7 * DAY
    assert "id" not in looked
    assert looked["renewable"] is False
    assert claims(await child.read())
    renewed = await child.ask("POST", f"{TOKENS}/renew-self", {"increment": 3600})
    assert renewed.status == 400
    assert "not renewable" in said(renewed)
    assert (await alice.ask("POST", f"{TOKENS}/revoke-self")).status == 204
    for ended in (alice, child):
        assert DEADLY in said(await ended.read())


async def test_no_exchanged_token_outlasts_the_first(alice: Client) -> None:
    """Whatever is asked for; and exchanges end somewhere."""
    last = await alice.shorter(ttl="999999999d")
    own = (await alice.ask("GET", f"{TOKENS}/lookup-self")).json["data"]["ttl"]
    assert (await last.ask("GET", f"{TOKENS}/lookup-self")).json["data"]["ttl"] <= own
    last = await (await last.shorter(ttl="28d")).shorter()
    refused = await last.ask("POST", f"{TOKENS}/create", {"ttl": "1h"})
    assert (refused.status, DEADLY in said(refused)) == (403, False)
    assert claims(await last.read())


@pytest.mark.parametrize("ttl", ["-1s", "1y", True, {"x": 1}])
async def test_a_ttl_that_is_none_is_refused(alice: Client, ttl: object) -> None:
    """In words."""
    assert (await alice.ask("POST", f"{TOKENS}/create", {"ttl": ttl})).status == 400


@pytest.mark.parametrize("shown", ["", "cb_nonsense", "cb_" + "A" * 22 + "." + "A" * 43])
async def test_a_vault_token_that_is_unknown_ends_nothing(broker: Replica, shown: str) -> None:
    """A broker that was set back, or another one, is no reason to delete."""
    stranger = Client(broker, shown)
    for method, path in (
        ("GET", stranger.path()),
        ("DELETE", stranger.path()),
        ("GET", f"{TOKENS}/lookup-self"),
        ("POST", f"{TOKENS}/create"),
    ):
        answer = await stranger.ask(method, path)
        assert (answer.status, DEADLY in said(answer)) == (403, False)


# The rest


async def test_health_is_that_of_a_vault_that_is_open(broker: Replica) -> None:
    """Nobody need say who asks."""
    answer = await broker.ask("GET", "/v1/sys/health")
    assert (answer.status, answer.json["initialized"], answer.json["sealed"]) == (200, True, False)


async def test_what_is_not_there_or_too_large_is_said_in_vaults_form(alice: Client) -> None:
    """Other paths, other methods, too much."""
    for path in ("/v1/", "/v1/secret/oauth", "/v1/sys/seal", "/htgettokenopts.txt"):
        answer = await alice.ask("GET", path)
        assert (answer.status, DEADLY in said(answer)) == (404, False)
    assert (await alice.ask("PUT", alice.path())).status == 405
    large = await alice.ask("POST", f"{TOKENS}/create", b" " * (64 * 1024 + 1))
    assert large.status == 413
    assert "64 KiB" in said(large)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/auth/oidc-{issuer}/oidc/device_wait", 404),
        ("GET", "/v1/sys/mounts", 404),
        ("GET", "/v1/identity/entity/id", 404),
        ("PUT", "/v1/secret/oauth/creds/{issuer}/alice:default", 405),
        ("LIST", "/v1/secret/oauth/creds/{issuer}/", 400),
    ],
)
async def test_what_has_no_counterpart_is_not_there(
    alice: Client, method: str, path: str, status: int
) -> None:
    """Nor are methods that HTTP does not have; no client deletes anything on these words."""
    answer = await alice.ask(method, path.format(issuer=alice.broker.world.issuer_name))
    assert (answer.status, DEADLY.encode() in answer.body) == (status, False)


async def test_htgettokens_options_are_given_to_all(broker_world: BrokerWorld) -> None:
    """As plain text, as the operator keeps them."""
    options = broker_world.folder / "options"
    options.write_text("-i cms  # the usual one\n")
    more = {"htvault": {"options_file": str(options)}}
    broker = await broker_world.replica("with-options", more=more)
    answer = await broker.ask("GET", "/htgettokenopts.txt")
    assert (answer.status, answer.body) == (200, options.read_bytes())
    assert answer.headers["Content-Type"].startswith("text/plain")
