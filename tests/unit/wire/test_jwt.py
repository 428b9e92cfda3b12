"""A JWT is read by the profile, and nothing that is none gets through."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.jwt import LARGEST_BYTES, peek, read_access_token
from tests.unit.things import ISSUER, NOON, seconds

CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "sub-ada",
    "aud": "https://se.test",
    "exp": NOON.timestamp() + 3600,
    "iat": NOON.timestamp(),
    "jti": "jti-1",
    "wlcg.ver": "1.0",
    "scope": "openid storage.read:/a",
}


def encode(part: bytes) -> str:
    """Write base64url as JWTs do."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def jwt(claims: object, header: object = None) -> Secret:
    """Return a token that is signed by nobody."""
    parts = [{"alg": "ES256", "kid": "key-1"} if header is None else header, claims]
    return Secret(
        "access token", ".".join(encode(json.dumps(one).encode()) for one in parts) + ".AAAA"
    )


def test_a_token_is_read_as_it_says() -> None:
    """Without `nbf` it is valid from its issue on."""
    token = read_access_token(jwt(CLAIMS), NOON + seconds(1))
    assert str(token.scopes) == "openid storage.read:/a"
    assert (token.audiences, token.groups, token.key_id) == (("https://se.test",), (), "key-1")
    assert (token.issued_at, token.not_before) == (NOON, NOON)
    assert (token.expires_at, token.obtained_at) == (NOON + seconds(3600), NOON + seconds(1))


def test_lists_and_the_time_before_issue_are_read() -> None:
    """Several audiences, groups in order, a backdated `nbf`, fractions of seconds."""
    more = {"aud": ["a", "b"], "wlcg.groups": ["/cms/x", "/cms"], "nbf": NOON.timestamp() - 60.5}
    token = read_access_token(jwt(CLAIMS | more), NOON)
    assert (token.audiences, token.groups) == (("a", "b"), ("/cms/x", "/cms"))
    assert token.not_before == NOON - seconds(60.5)


@pytest.mark.parametrize("name", ["iss", "sub", "exp", "iat", "jti", "wlcg.ver"])
@pytest.mark.parametrize("value", [None, "", [], {}, True])
def test_a_required_claim_of_another_form_is_refused(name: str, value: object) -> None:
    """Absent, empty or of another type."""
    with pytest.raises(Malformed):
        read_access_token(jwt(CLAIMS | {name: value}), NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": 5},
        {"aud": ["a", 5]},
        {"aud": {"a": "b"}},
        {"wlcg.groups": {"/cms": 1}},
        {"scope": ["storage.read:/"]},
        {"scope": "storage.read"},
        {"scope": "storage.read:/a/../b"},
        {"exp": "soon"},
        {"exp": 1e15},
        {"exp": float("nan")},
        {"iat": -1e14},
    ],
)
def test_a_token_that_breaks_the_profile_is_refused(wrong: dict[str, object]) -> None:
    """One bad scope makes the whole token invalid."""
    with pytest.raises(Malformed):
        read_access_token(jwt(CLAIMS | wrong), NOON)


def test_a_token_without_a_key_id_is_refused() -> None:
    """There is no falling back to an only key."""
    with pytest.raises(Malformed, match="kid"):
        read_access_token(jwt(CLAIMS, {"alg": "ES256"}), NOON)


def test_a_claim_written_twice_is_refused() -> None:
    """Two readers could see two different values."""
    twice = encode(b'{"sub":"a","sub":"b"}')
    with pytest.raises(Malformed):
        peek(Secret("access token", f"{encode(b'{}')}.{twice}.AAAA"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "..",
        "a..c",
        "é.é.é",
        "!!.!!.!!",
        "W10.W10.AA",
        "e30.e30." + "A" * LARGEST_BYTES,
        "e30.e30.AAAA\n\x1b]0;x\x07",
        "e30.e30.ł",
        "e30.e30.A",
    ],
)
def test_what_is_no_signed_token_is_refused_unrepeated(text: str) -> None:
    """Its text stays out of the sentence."""
    with pytest.raises(Malformed) as refused:
        peek(Secret("access token", text))
    assert len(text) < 5 or text not in refused.value.sentence


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is raised."""
    with pytest.raises(Malformed):
        read_access_token(Secret("access token", text), NOON)


@pytest.mark.parametrize("written", ["urn:x:1", ["urn:x:1"]])
def test_entitlements_are_read_as_a_text_or_a_list(written: object) -> None:
    """Issuers write a single one either way."""
    claims = CLAIMS | {"eduperson_entitlement": written}
    assert read_access_token(jwt(claims), NOON).entitlements == ("urn:x:1",)
    assert read_access_token(jwt(CLAIMS), NOON).entitlements == ()


def test_a_token_of_another_profile_is_read_only_where_that_will_do() -> None:
    """All else that is required still is."""
    claims = {name: value for name, value in CLAIMS.items() if name not in {"wlcg.ver", "aud"}}
    token = read_access_token(jwt(claims), NOON, any_profile=True)
    assert (token.version, token.audiences) == ("", ())
    with pytest.raises(Malformed):
        read_access_token(jwt(claims), NOON)
    with pytest.raises(Malformed):
        read_access_token(jwt(claims | {"sub": ""}), NOON, any_profile=True)
