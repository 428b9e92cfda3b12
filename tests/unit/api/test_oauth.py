"""Clients of an issuer of ours are answered as the standards have it, in time, and told why not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from credbroker.api.issuer_openapi import ISSUER_OPENAPI
from credbroker.broker.issuing.granting import ClientCaller
from credbroker.domain.errors import ScopeRefused, StoreUnavailable, TokenRefused
from credbroker.domain.policy import Asked
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.wire.exchange import ACCESS_TOKEN_TYPE, EXCHANGE_GRANT
from credbroker.wire.oauth import JWT_TYPE, REFRESH_TOKEN_TYPE
from tests.fakes.granting import CLIENT, REFRESH_VALUE, SCOPE, SECRET, VALUE, FakeCommunity
from tests.unit.api.oauth_world import BASIC, TOKEN, Asker, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OWN = {"grant_type": "client_credentials"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": REFRESH_VALUE}
EXCHANGE = {
    "grant_type": EXCHANGE_GRANT,
    "subject_token": "shown.subject.token",
    "subject_token_type": ACCESS_TOKEN_TYPE,
}
BODY_LOGIN = {"client_id": CLIENT, "client_secret": SECRET}
HIDDEN = "hostile-text-that-nobody-repeats"


@pytest.fixture
def community() -> FakeCommunity:
    """The issuer under test."""
    return FakeCommunity()


@pytest.fixture
async def asker(community: FakeCommunity) -> AsyncIterator[Asker]:
    """Asks it."""
    async with served(community.as_issuer()) as asker:
        yield asker


@pytest.mark.parametrize(
    "target",
    [TOKEN, "/dteam//token", "/dteam/token/", "https://tokens.example.org:8200/dteam/token"],
)
async def test_a_client_gets_a_token_at_every_spelling_of_the_address(
    asker: Asker, target: str
) -> None:
    """With what RFC 6749 section 5.1 requires, status 200 exactly, and kept by nobody."""
    said = await asker.post(OWN, target)
    assert said.status == 200
    assert said.json == {
        "access_token": VALUE, "token_type": "Bearer", "expires_in": 3600, "scope": SCOPE,
    }  # fmt: skip
    assert (said.headers["cache-control"], said.headers["pragma"]) == ("no-store", "no-cache")
    assert said.headers["content-type"].startswith("application/json")


async def test_what_is_asked_for_reaches_the_grant(asker: Asker, community: FakeCommunity) -> None:
    """Scopes and audiences as they were named, and who asks until when."""
    await asker.post({**OWN, "scope": "storage.read:/a openid", "audience": "b c"})
    caller, asked = community.granting.asked[0]
    assert asked == Asked(ScopeSet.parse("storage.read:/a openid"), ("b", "c"))
    assert isinstance(caller, ClientCaller)
    assert caller.client.id == CLIENT
    assert caller.answer_by == asker.clock.elapsed() + 2.5
    assert caller.origin.address == "127.0.0.1"


async def test_who_names_nothing_leaves_it_to_the_policy(
    asker: Asker, community: FakeCommunity
) -> None:
    """An empty scope, as PanDA sends it, is none."""
    await asker.post({**OWN, "scope": "", "audience": ""})
    assert community.granting.asked[0][1] == Asked()


async def test_a_client_may_log_in_by_its_form(asker: Asker) -> None:
    """`client_secret_post`, as Harvester and PanDA do."""
    said = await asker.post({**OWN, **BODY_LOGIN}, headers={})
    assert said.status == 200


async def test_header_and_form_may_name_the_same_client(asker: Asker) -> None:
    """The form without a secret."""
    said = await asker.post({**OWN, "client_id": CLIENT})
    assert said.status == 200


@pytest.mark.parametrize("more", [BODY_LOGIN, {"client_id": "another"}])
async def test_two_ways_to_log_in_at_once_are_refused(asker: Asker, more: dict[str, str]) -> None:
    """RFC 6749 sections 2.3 and 5.2."""
    said = await asker.post({**OWN, **more})
    assert said.code == (400, "invalid_request")


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {}),
        ({}, {"client_id": CLIENT}),
        ({}, {"client_id": CLIENT, "client_secret": HIDDEN}),
        ({}, {"client_id": HIDDEN, "client_secret": SECRET}),
        ({"Authorization": "Basic cnVjaW86d3Jvbmc="}, {}),
        ({"Authorization": f"Bearer {HIDDEN}"}, {}),
    ],
)
async def test_who_shows_no_good_secret_is_refused_and_written_down(
    asker: Asker, headers: dict[str, str], form: dict[str, str]
) -> None:
    """401 with how to log in (RFC 6749 section 5.2, RFC 7617)."""
    said = await asker.post({**OWN, **form}, headers=headers)
    assert said.code == (401, "invalid_client")
    assert said.headers["www-authenticate"] == 'Basic realm="credbroker"'
    assert HIDDEN.encode() not in said.body
    line = asker.audit.last("refused")
    assert (line["error"], line["request_id"]) == ("unknown_client", said.json["request_id"])
    assert line["client_id"] is None


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": HIDDEN}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({**OWN, "scope": f'"{HIDDEN}"'}, "invalid_scope"),
        ({**OWN, "scope": f"storage.read:/../{HIDDEN}"}, "invalid_scope"),
        ({**EXCHANGE, "subject_token": ""}, "invalid_request"),
        ({**EXCHANGE, "subject_token_type": ""}, "invalid_request"),
        ({**EXCHANGE, "subject_token_type": HIDDEN}, "invalid_request"),
        ({**EXCHANGE, "requested_token_type": HIDDEN}, "invalid_request"),
        ({**EXCHANGE, "actor_token": HIDDEN}, "invalid_request"),
        ({**EXCHANGE, "actor_token_type": ACCESS_TOKEN_TYPE}, "invalid_request"),
        ({**EXCHANGE, "actor_token": "a", "actor_token_type": HIDDEN}, "invalid_request"),
    ],
)
async def test_a_request_that_lacks_something_gets_the_code_for_it(
    asker: Asker, community: FakeCommunity, form: dict[str, str], code: str
) -> None:
    """RFC 6749 section 5.2, RFC 8693 section 2.2.2; nothing that was sent comes back."""
    said = await asker.post(form)
    assert said.code == (400, code)
    assert HIDDEN.encode() not in said.body
    assert community.granting.asked == []
    line = asker.audit.last("refused")
    assert (line["client_id"], line["community"]) == (CLIENT, "dteam")


async def test_the_form_must_be_one(asker: Asker) -> None:
    """Neither JSON nor bytes that are no text."""
    assert (await asker.post(b'{"grant_type":"client_credentials"}')).code[0] == 400
    assert (await asker.post(b"grant_type=\xff")).code == (400, "invalid_request")
    assert (await asker.post(b"scope=a&scope=b")).code == (400, "invalid_request")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded; charset=iso-8859-1"]
)
async def test_a_form_is_one_whatever_it_is_called(asker: Asker, kind: str) -> None:
    """Services of the grid leave the type out, or write another."""
    said = await asker.post(
        b"grant_type=client_credentials", headers={**BASIC, "Content-Type": kind}
    )
    assert said.status == 200


async def test_parameters_in_the_address_count_for_nothing(asker: Asker) -> None:
    """RFC 6749 section 2.3.1: they would end up in logs."""
    said = await asker.ask(
        f"{TOKEN}?grant_type=client_credentials&client_id={CLIENT}", "POST", BASIC
    )
    assert said.code == (400, "invalid_request")


async def test_a_parameter_that_nobody_knows_changes_nothing(asker: Asker) -> None:
    """RFC 6749 section 3.2: it is passed over."""
    assert (await asker.post({**OWN, "something_new": "x"})).status == 200


async def test_more_than_64_kib_are_not_read(asker: Asker) -> None:
    """In OAuth's form, with the status that HTTP has for it."""
    said = await asker.post(b"scope=" + b"a" * 70_000)
    assert said.code == (413, "invalid_request")


@pytest.mark.parametrize(
    ("target", "method", "body", "status"),
    [
        ("/dteam/authorize", "GET", b"", 404),
        ("/dteam/", "GET", b"", 404),
        ("/dteam/token/more", "POST", b"", 404),
        (TOKEN, "GET", b"", 405),
        (TOKEN, "POST", b"scope=a&scope=b", 400),
        (TOKEN, "POST", b"client_id=another", 400),
        (TOKEN, "POST", b"scope=" + b"a" * 70_000, 413),
    ],
)
async def test_what_to_do_is_not_said_in_the_words_of_another_surface(
    asker: Asker, target: str, method: str, body: bytes, status: int
) -> None:
    """In OAuth's form, wherever it is below the issuer, with the document that tells of it if any."""
    said = await asker.ask(target, method, BASIC, body)
    assert said.code == (status, "invalid_request")
    assert "/api/v1/openapi.json" not in said.json["error_description"]
    if status != 400:
        assert ISSUER_OPENAPI in said.json["error_description"]


@pytest.mark.parametrize("target", [TOKEN, "/dteam/revoke", "/dteam/introspect"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_endpoints_are_posted_to(asker: Asker, target: str, method: str) -> None:
    """RFC 6749 section 3.2, RFC 7009 section 2.1, RFC 7662 section 2.1."""
    said = await asker.ask(target, method, BASIC)
    assert (said.status, said.headers["allow"]) == (405, "POST")


async def test_the_same_refresh_token_comes_with_each_token(
    asker: Asker, community: FakeCommunity
) -> None:
    """Rucio fails without one, DIRAC never stores another."""
    said = await asker.post({**REFRESH, "scope": SCOPE})
    assert said.json["refresh_token"] == REFRESH_VALUE
    _, asked, shown = community.granting.asked[0]
    assert asked == Asked(ScopeSet.parse(SCOPE))
    assert shown == Secret("refresh token", REFRESH_VALUE)


@pytest.mark.parametrize("kind", [ACCESS_TOKEN_TYPE, JWT_TYPE])
async def test_a_token_is_exchanged_for_another(
    asker: Asker, community: FakeCommunity, kind: str
) -> None:
    """The answer says what kind it is (RFC 8693 section 2.2.1)."""
    actor = {"actor_token": "the.actors.own", "actor_token_type": kind}
    said = await asker.post({**EXCHANGE, **actor, "subject_token_type": kind})
    assert said.json["issued_token_type"] == ACCESS_TOKEN_TYPE
    assert (said.json["token_type"], said.json["scope"]) == ("Bearer", SCOPE)
    assert "refresh_token" not in said.json
    _, _, subject, shown_actor, refresh = community.granting.asked[0]
    assert (subject, refresh) == (Secret("access token", "shown.subject.token"), False)
    assert shown_actor == Secret("access token", "the.actors.own")


async def test_fts_is_given_a_refresh_token_where_it_looks_for_one(
    asker: Asker, community: FakeCommunity
) -> None:
    """As it sends it, un-encoded; `issued_token_type` says what `access_token` holds."""
    said = await asker.post(
        f"grant_type={EXCHANGE_GRANT}&requested_token_type={REFRESH_TOKEN_TYPE}"
        f"&subject_token_type={ACCESS_TOKEN_TYPE}&subject_token=a.b.c"
        "&scope=storage.read:/a/b offline_access&audience=https://one https://two".encode()
    )
    assert said.status == 200
    assert said.json["refresh_token"] == REFRESH_VALUE
    assert (said.json["access_token"], said.json["expires_in"]) == (VALUE, 3600)
    assert said.json["issued_token_type"] == ACCESS_TOKEN_TYPE
    _, asked, _, _, refresh = community.granting.asked[0]
    assert asked == Asked(
        ScopeSet.parse("storage.read:/a/b offline_access"), ("https://one", "https://two")
    )
    assert refresh is True


async def test_a_token_that_is_no_good_has_another_code_in_an_exchange(
    asker: Asker, community: FakeCommunity
) -> None:
    """`invalid_request` by RFC 8693 section 2.2.2, `invalid_grant` by RFC 6749 section 5.2."""
    community.granting.fails = TokenRefused("The token has expired.")
    assert (await asker.post(EXCHANGE)).code == (400, "invalid_request")
    assert asker.audit.last("refused")["error"] == "token_refused"
    assert (await asker.post(REFRESH)).code == (400, "invalid_grant")


async def test_a_refusal_says_why_and_what_to_do(asker: Asker, community: FakeCommunity) -> None:
    """FTS shows the description to people."""
    community.granting.fails = ScopeRefused('Not "/a".', "Ask for /b.")
    said = await asker.post(OWN)
    assert said.code == (400, "invalid_scope")
    assert said.json["error_description"] == "Not '/a'. Ask for /b."
    assert said.headers["x-request-id"] == said.json["request_id"]


async def test_an_outage_is_no_refusal(asker: Asker, community: FakeCommunity) -> None:
    """503 with when to come back; nobody was refused anything."""
    community.granting.fails = StoreUnavailable("OpenBao/Vault does not answer.")
    said = await asker.post(OWN)
    assert said.code == (503, "temporarily_unavailable")
    assert said.headers["retry-after"] == "2"
    assert asker.audit.lines == []


async def test_a_fault_of_ours_says_nothing_of_itself(
    asker: Asker, community: FakeCommunity
) -> None:
    """And has OAuth's form all the same."""
    community.granting.fails = RuntimeError(HIDDEN)
    said = await asker.post(OWN)
    assert said.code == (500, "server_error")
    assert HIDDEN.encode() not in said.body


async def test_who_waits_too_long_is_told_to_come_again(
    asker: Asker, community: FakeCommunity
) -> None:
    """Harvester gives up after 3 s, and Rucio never does: each client has its own limit."""
    community.granting.hangs = asyncio.Event()
    hasty = replace(community.granting.clients.client, answer_seconds=0.01)
    community.granting.clients.client = hasty
    said = await asker.post(OWN)
    assert said.code == (503, "temporarily_unavailable")
    assert said.headers["retry-after"] == "2"


async def test_whoever_guesses_is_slowed_down_and_whoever_is_known_is_not(asker: Asker) -> None:
    """Secrets are counted by address; one that was good before never is."""
    assert (await asker.post(OWN)).status == 200
    for _ in range(3):
        assert (
            await asker.post({**OWN, "client_id": "x", "client_secret": "y"}, headers={})
        ).status == 401
    said = await asker.post({**OWN, "client_id": "x", "client_secret": "z"}, headers={})
    assert said.code == (429, "temporarily_unavailable")
    assert "retry-after" in said.headers
    assert (await asker.post(OWN)).status == 200


async def test_a_token_is_revoked(asker: Asker, community: FakeCommunity) -> None:
    """200 whether or not it was known (RFC 7009 section 2.2); hints change nothing."""
    said = await asker.post({"token": "t", "token_type_hint": "unheard-of"}, "/dteam/revoke")
    assert (said.status, said.body) == (200, b"")
    assert community.revoking.revoked == [Secret("token", "t")]


@pytest.mark.parametrize("target", ["/dteam/revoke", "/dteam/introspect"])
async def test_a_token_is_revoked_and_looked_up_by_clients_alone(asker: Asker, target: str) -> None:
    """RFC 7009 section 2.1, RFC 7662 sections 2.1 and 2.3."""
    assert (await asker.post({"token": "t"}, target, headers={})).code == (401, "invalid_client")
    assert (await asker.post({}, target)).code == (400, "invalid_request")


async def test_a_token_is_looked_up(asker: Asker, community: FakeCommunity) -> None:
    """One that is unknown is not active, and no error (RFC 7662 section 2.2)."""
    said = await asker.post({"token": "t"}, "/dteam/introspect")
    assert (said.status, said.json) == (200, {"active": False})
    community.revoking.claims = {"active": True, "scope": SCOPE}
    said = await asker.post({"token": "t", "token_type_hint": "x"}, "/dteam//introspect")
    assert said.json == {"active": True, "scope": SCOPE}
    assert said.headers["cache-control"] == "no-store"
