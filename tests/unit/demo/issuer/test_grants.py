"""The token endpoint, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.issuer import faults
from credbroker.demo.issuer.consent import Asked
from credbroker.demo.issuer.errors import OAuthError
from credbroker.demo.issuer.grants import TokenEndpoint
from credbroker.demo.issuer.settings import ANY_AUDIENCE, DEVICE_CODE, Client, RefreshPolicy
from tests.unit.demo.issuer.cast import ALICE, BROKER, OTHER, PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.demo.issuer.state import IssuerState
    from tests.fakes.clock import FakeClock

SCOPES = ("openid", "offline_access", "storage.read:/", "storage.create:/home/alice")


def log_in(state: IssuerState, *scopes: str, audience: tuple[str, ...] = ()) -> dict[str, Any]:
    """Go through a device login and return the answer."""
    asked = Asked("broker", scopes or SCOPES, audience, nonce="n-1")
    login = state.device_logins.begin(asked, state.now())
    login.grant = asked.granted_by(ALICE, None, state.now())
    form = {"grant_type": DEVICE_CODE, "device_code": login.device_code}
    return TokenEndpoint(state).answer(BROKER, form)


def refresh(state: IssuerState, value: str, client: Client = BROKER, **more: str) -> dict[str, Any]:
    """Refresh once."""
    form = {"grant_type": "refresh_token", "refresh_token": value, **more}
    return TokenEndpoint(state).answer(client, form)


def claims(state: IssuerState, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the access token's claims."""
    read = state.keys.read(answer["access_token"])
    assert read is not None
    return read


def test_a_login_gives_all_three_tokens(state: IssuerState) -> None:
    """Access, ID and refresh token, with `expires_in` and the scope granted."""
    answer = log_in(state)
    assert answer["expires_in"] == 3600
    assert answer["token_type"] == "Bearer"
    assert answer["scope"] == " ".join(SCOPES) == claims(state, answer)["scope"]
    assert (state.keys.read(answer["id_token"]) or {})["nonce"] == "n-1"
    assert state.refresh_tokens.issued() == [answer["refresh_token"]]


def test_without_offline_access_there_is_no_refresh_token(state: IssuerState) -> None:
    """And without `openid` no ID token."""
    answer = log_in(state, "storage.read:/")
    assert "refresh_token" not in answer
    assert "id_token" not in answer


def test_a_refresh_narrows_for_this_token_alone(state: IssuerState) -> None:
    """The next refresh without a scope has the whole grant again."""
    first = log_in(state)
    narrow = refresh(
        state, first["refresh_token"], scope="storage.read:/data/x", audience="https://a https://b"
    )
    assert claims(state, narrow)["scope"] == "storage.read:/data/x"
    assert claims(state, narrow)["aud"] == ["https://a", "https://b"]
    whole = refresh(state, narrow["refresh_token"])
    assert claims(state, whole)["scope"] == " ".join(SCOPES)
    assert claims(state, whole)["aud"] == ANY_AUDIENCE


def test_a_refresh_keeps_the_audience_of_the_login(state: IssuerState) -> None:
    """Until another is asked."""
    first = log_in(state, audience=("https://se.test",))
    assert claims(state, refresh(state, first["refresh_token"]))["aud"] == "https://se.test"


@pytest.mark.parametrize("name", ["audience", "aud", "resource"])
def test_the_audience_has_three_spellings(state: IssuerState, name: str) -> None:
    """The first non-empty of resource, aud, audience counts."""
    value = log_in(state)["refresh_token"]
    answer = refresh(state, value, BROKER, **{name: "https://a"})
    assert claims(state, answer)["aud"] == "https://a"


@pytest.mark.parametrize(
    "scope",
    ["storage.modify:/", "storage.create:/home/alicent", "storage.create:/home", "compute.read"],
)
def test_a_wider_refresh_is_refused_and_costs_nothing(state: IssuerState, scope: str) -> None:
    """400 `invalid_scope`, and the refresh token lives on."""
    value = log_in(state)["refresh_token"]
    with pytest.raises(OAuthError, match=r"invalid_scope: Up-scoping is not allowed\."):
        refresh(state, value, scope=f"openid {scope}")
    assert state.refresh_tokens.alive(value, state.now())


def test_a_refreshed_id_token_has_no_nonce_and_the_first_auth_time(
    state: IssuerState, clock: FakeClock
) -> None:
    """OpenID Connect Core section 12.2."""
    first = log_in(state)
    clock.advance(500)
    again = refresh(state, first["refresh_token"])
    before, after = (state.keys.read(one["id_token"]) or {} for one in (first, again))
    assert "nonce" not in after
    assert after["auth_time"] == before["auth_time"]
    assert (after["iss"], after["sub"], after["aud"]) == (
        before["iss"],
        before["sub"],
        before["aud"],
    )


def test_the_policy_rules_the_refresh(make_state: Callable[..., IssuerState]) -> None:
    """The same value back, or another."""
    same = make_state(refresh_policy=RefreshPolicy.REUSE)
    value = log_in(same)["refresh_token"]
    assert refresh(same, value)["refresh_token"] == value
    rotating = make_state(refresh_policy=RefreshPolicy.ROTATE)
    value = log_in(rotating)["refresh_token"]
    assert refresh(rotating, value)["refresh_token"] != value


def test_a_foreign_client_gets_nothing(state: IssuerState) -> None:
    """And the refresh token it showed is dead."""
    value = log_in(state)["refresh_token"]
    with pytest.raises(OAuthError, match="does not own"):
        refresh(state, value, client=OTHER)
    with pytest.raises(OAuthError, match="invalid_token"):
        refresh(state, value)


def test_a_client_may_act_for_itself(state: IssuerState) -> None:
    """Without a person there is neither refresh nor ID token, and no scope about a person."""
    form = {"grant_type": "client_credentials", "scope": "openid offline_access compute.read"}
    answer = TokenEndpoint(state).answer(BROKER, form)
    assert claims(state, answer)["sub"] == "broker"
    assert answer["scope"] == "compute.read"
    assert not {"refresh_token", "id_token"} & set(answer)


@pytest.mark.parametrize(
    ("client", "form", "error"),
    [
        (BROKER, {}, "unsupported_grant_type"),
        (BROKER, {"grant_type": "password"}, "unsupported_grant_type"),
        (BROKER, {"grant_type": "refresh_token"}, "invalid_request"),
        (BROKER, {"grant_type": DEVICE_CODE}, "invalid_request"),
        (BROKER, {"grant_type": "authorization_code", "code": "none"}, "invalid_grant"),
        (BROKER, {"grant_type": "client_credentials", "scope": "fts"}, "invalid_scope"),
        (PUBLIC, {"grant_type": "client_credentials"}, "unauthorized_client"),
        (Client("c", "s", grants=()), {"grant_type": "refresh_token"}, "invalid_client"),
    ],
)
def test_a_request_that_fits_nothing_is_refused(
    state: IssuerState, client: Client, form: dict[str, str], error: str
) -> None:
    """By the error code of the RFC, or IAM's where it differs."""
    with pytest.raises(OAuthError) as refusal:
        TokenEndpoint(state).answer(client, form)
    assert refusal.value.error == error


def test_a_flaw_shows_in_the_token_and_in_the_answer(state: IssuerState) -> None:
    """A scope wider than asked is told as openly as a right one."""
    form = {"grant_type": "client_credentials", "scope": "compute.read"}
    answer = TokenEndpoint(state).answer(BROKER, form, [faults.wider_scope("storage.modify:/")])
    assert answer["scope"] == "compute.read storage.modify:/" == claims(state, answer)["scope"]


def test_the_algorithm_is_the_clients_or_the_issuers(
    make_state: Callable[..., IssuerState],
) -> None:
    """The client's choice goes first."""
    state = make_state(algorithm="ES256")
    form = {"grant_type": "client_credentials", "scope": "compute.read"}
    endpoint = TokenEndpoint(state)
    rs256 = endpoint.answer(Client("c", "s", algorithm="RS256"), form)["access_token"]
    es256 = endpoint.answer(BROKER, form)["access_token"]
    assert len(rs256.split(".")[2]) == 342  # 256 bytes in base64url
    assert len(es256.split(".")[2]) == 86  # 64 bytes
