"""Logging in: by device, by authorization code, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from credbroker.demo.issuer import ANY_AUDIENCE, metadata
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.logins import s256
from tests.integration.dev_issuer.world import ALICE, BACK, BROKER, SCOPE, boxes, fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.dev_issuer.world import World

VERIFIER = "v" * 43


async def test_the_metadata_names_itself_and_its_endpoints(world: World) -> None:
    """The issuer string ends with a slash, and every endpoint lies below it."""
    status, document = await world.get(".well-known/openid-configuration")
    assert status == 200
    assert document["issuer"] == world.issuer.url
    assert world.issuer.url.endswith("/")
    endpoints = [document[name] for name in document if name.endswith("_endpoint")]
    assert len(endpoints) == 6
    assert all(one.startswith(world.issuer.url) for one in [*endpoints, document["jwks_uri"]])
    assert {key["alg"] for key in (await world.get("jwk"))[1]["keys"]} == {"RS256", "ES256"}


async def test_a_configured_address_is_the_issuer_string_to_the_letter(
    make_world: Callable[..., Any],
) -> None:
    """Also without the slash; endpoints lie below it either way."""
    world = await make_world(url="https://issuer.test")
    assert world.issuer.url == "https://issuer.test"
    document = metadata.document(world.issuer._state)
    assert document["issuer"] == "https://issuer.test"
    assert document["token_endpoint"] == "https://issuer.test/token"


async def test_a_device_login_by_web_form(world: World) -> None:
    """Code, sign-in (first with a wrong password), consent with one box unticked, done."""
    started = await world.begin(audience="https://se.test", nonce="n-1")
    assert (await world.poll(started))[1]["error"] == "authorization_pending"
    complete = started["verification_uri_complete"].removeprefix(world.issuer.url)
    _, code_page = await world.page(complete)
    assert fields(code_page)["user_code"] == started["user_code"]
    where, sign_in_page = await world.page("device", fields(code_page))
    assert where == "/sign-in"
    _, again = await world.page("sign-in", fields(sign_in_page) | ALICE | {"password": "no"})
    assert "Name or password is wrong." in again
    where, consent_page = await world.page("sign-in", fields(again) | ALICE)
    assert where == "/consent"
    assert boxes(consent_page) == SCOPE.split()
    done = await world.decide(consent_page, leave_out="wlcg.groups")
    assert "Done" in done
    _, answer = await world.poll(started)
    claims = await world.verified(answer["access_token"])
    assert claims["scope"] == "openid offline_access storage.read:/"
    assert claims["aud"] == "https://se.test"
    identity = await world.verified(answer["id_token"])
    assert (identity["preferred_username"], identity["nonce"]) == ("alice", "n-1")
    assert started["device_code"] not in code_page + sign_in_page + consent_page + done


async def test_an_answer_for_alice_is_as_the_profile_says(world: World) -> None:
    """RS256 by a published key, groups, wildcard audience, `expires_in`, URL-safe refresh token."""
    answer = await world.log_in()
    claims = await world.verified(answer["access_token"])
    assert claims["iss"] == world.issuer.url
    assert claims["aud"] == ANY_AUDIENCE
    assert claims["wlcg.groups"] == ["/cms"]
    assert claims["wlcg.ver"] == "1.0"
    assert claims["exp"] - claims["iat"] == answer["expires_in"] == 3600
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", answer["refresh_token"])


@pytest.mark.parametrize("path", ["device", "sign-in", "consent"])
async def test_a_form_without_its_csrf_value_is_refused(world: World, path: str) -> None:
    """With or without a session."""
    for _ in range(2):
        async with world.http.post(world.issuer.url + path, data={"csrf": "guess"}) as answer:
            assert answer.status == 403
        await world.page("device")


async def test_a_form_left_open_does_not_decide_the_next_login(world: World) -> None:
    """Each login has its own CSRF value."""
    forms = []
    for _ in range(2):
        started = await world.begin()
        _, page = await world.page(f"device?user_code={started['user_code']}")
        _, page = await world.page("device", fields(page))
        forms.append(fields(page))
    stale, fresh = (form | ALICE for form in forms)
    assert "out of date" in (await world.page("sign-in", stale))[1]
    assert (await world.page("sign-in", fresh))[0] == "/consent"


async def signed_in(world: World) -> tuple[dict[str, Any], str]:
    """Begin a device login, sign alice in, and return it with its consent page."""
    started = await world.begin()
    _, page = await world.page(f"device?user_code={started['user_code']}")
    _, page = await world.page("device", fields(page))
    _, page = await world.page("sign-in", fields(page) | ALICE)
    return started, page


async def test_who_signed_in_is_not_asked_again(world: World) -> None:
    """The next login of the same browser goes straight to consent."""
    _, page = await signed_in(world)
    await world.decide(page)
    started = await world.begin()
    _, page = await world.page(f"device?user_code={started['user_code']}")
    where, page = await world.page("device", fields(page))
    assert where == "/consent"
    assert "Done" in await world.decide(page)


async def test_signing_in_gives_the_session_a_new_name(world: World) -> None:
    """A session planted in a browser before sign-in is worth nothing after it."""
    started = await world.begin()
    _, page = await world.page(f"device?user_code={started['user_code']}")
    _, page = await world.page("device", fields(page))
    before = [cookie.value for cookie in world.http.cookie_jar]
    await world.page("sign-in", fields(page) | ALICE)
    after = [cookie.value for cookie in world.http.cookie_jar]
    assert len(before) == len(after) == 1
    assert before != after


async def test_a_decision_is_taken_once_and_in_time(world: World) -> None:
    """A second one finds nothing to decide; a late one is told so."""
    _, page = await signed_in(world)
    assert "The device gets nothing." in await world.decide(page, "deny")
    assert "Nothing to decide" in await world.decide(page)
    started = await world.begin()
    _, page = await world.page(f"device?user_code={started['user_code']}")
    _, page = await world.page("device", fields(page))
    world.clock.advance(600)
    assert "no longer valid" in await world.decide(page)


async def test_consent_comes_after_the_code_and_sign_in(world: World) -> None:
    """Whoever opens it first is sent to what is missing."""
    assert (await world.page("consent"))[0] == "/device"
    started = await world.begin()
    _, page = await world.page(f"device?user_code={started['user_code']}")
    await world.page("device", fields(page))
    assert (await world.page("consent"))[0] == "/sign-in"


async def test_a_code_typed_wrong_is_told(world: World) -> None:
    """And shown back escaped, never run."""
    _, page = await world.page("device?user_code=%3Cscript%3E")
    assert "<script>" not in page
    assert "unknown or no longer valid" in (await world.page("device", fields(page)))[1]


@pytest.mark.parametrize(
    ("client_id", "more"), [("broker", {}), ("public", {"code_verifier": VERIFIER})]
)
async def test_a_code_login_with_proof_key(
    world: World, client_id: str, more: dict[str, str]
) -> None:
    """The browser goes back with code and state; the code is good once, with its verifier."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": BACK,
        "scope": SCOPE,
        "state": "s&1",
        "nonce": "n-2",
    }
    if more:
        query |= {"code_challenge": s256(VERIFIER), "code_challenge_method": "S256"}
    async with world.http.get(world.issuer.url + "authorize", params=query) as answer:
        page = await answer.text()
    signed = fields(page) | ALICE
    _, page = await world.page("sign-in", signed)
    back = await world.decide(page)
    assert back.startswith(BACK)
    returned = parse_qs(urlsplit(back).query)
    assert returned["state"] == ["s&1"]
    form = {"grant_type": "authorization_code", "code": returned["code"][0], "redirect_uri": BACK}
    form |= BROKER if client_id == "broker" else {"client_id": "public"}
    status, tokens = await world.post("token", form | more)
    assert status == 200
    assert (await world.verified(tokens["id_token"]))["nonce"] == "n-2"
    assert (await world.post("token", form | more))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "storage.read:/../x"}, "invalid_scope"),
        ({"client_id": "public"}, "invalid_request"),
        ({"code_challenge": "c", "code_challenge_method": "plain"}, "invalid_request"),
    ],
)
async def test_an_unfit_code_request_goes_back_with_its_error(
    world: World, change: dict[str, str], error: str
) -> None:
    """To the registered address, with the state."""
    query = {"response_type": "code", "client_id": "broker", "redirect_uri": BACK, "state": "s"}
    async with world.http.get(
        world.issuer.url + "authorize", params=query | change, allow_redirects=False
    ) as answer:
        returned = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (returned["error"], returned["state"]) == ([error], ["s"])


async def test_an_unknown_return_address_is_never_followed(world: World) -> None:
    """The person is told instead."""
    query = {"response_type": "code", "client_id": "broker", "redirect_uri": "http://127.0.0.1:1/x"}
    async with world.http.get(world.issuer.url + "authorize", params=query) as answer:
        assert answer.status == 400
        assert "Location" not in answer.headers


async def test_refusing_a_code_login_goes_back_with_access_denied(world: World) -> None:
    """As RFC 6749 section 4.1.2.1 has it."""
    query = {"response_type": "code", "client_id": "broker", "redirect_uri": BACK, "scope": SCOPE}
    async with world.http.get(world.issuer.url + "authorize", params=query) as answer:
        page = await answer.text()
    signed = fields(page) | ALICE
    _, page = await world.page("sign-in", signed)
    assert "error=access_denied" in await world.decide(page, "deny")


async def test_a_refused_device_login_stays_pending_or_is_told(
    make_world: Callable[..., Any],
) -> None:
    """As IAM does it, or as the RFC does."""
    for report, error in ((False, "authorization_pending"), (True, "access_denied")):
        world = await make_world(report_denial=report)
        started = await world.begin()
        world.issuer.deny(started["user_code"])
        assert (await world.poll(started))[1]["error"] == error
        with pytest.raises(OAuthError):
            world.issuer.approve(started["user_code"])


async def test_the_interval_is_told_only_if_configured(make_world: Callable[..., Any]) -> None:
    """IAM leaves it out; where it is told it may be enforced."""
    assert "interval" not in await (await make_world()).begin()
    world = await make_world(interval=7, enforce_interval=True)
    started = await world.begin()
    assert started["interval"] == 7
    await world.poll(started)
    assert (await world.poll(started))[1]["error"] == "slow_down"
    world.clock.advance(12)
    assert (await world.poll(started))[1]["error"] == "authorization_pending"
    world.clock.advance(600)
    assert (await world.poll(started))[1]["error"] == "expired_token"


async def test_a_device_login_takes_a_known_client_and_registered_scopes(world: World) -> None:
    """One unfit scope item fails the whole request; a parameter comes once."""
    for form, error in (
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "broker", "scope": "openid fts"}, "invalid_scope"),
    ):
        assert (await world.post("devicecode", form))[1]["error"] == error
    twice = aiohttp.FormData([("client_id", "broker"), ("client_id", "other")])
    async with world.http.post(world.issuer.url + "devicecode", data=twice) as answer:
        assert (await answer.json())["error"] == "invalid_request"
