"""Client authentication."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest

from credbroker.demo.issuer.clients import authenticate
from credbroker.demo.issuer.errors import OAuthError

if TYPE_CHECKING:
    from credbroker.demo.issuer.state import IssuerState


def basic(client_id: str, secret: str) -> str:
    """Return a Basic header with both parts form-encoded (RFC 6749 section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "form", "client_id"),
    [
        (basic("broker", "broker's word"), {}, "broker"),
        (basic("broker", "broker's word"), {"client_id": "broker"}, "broker"),
        ("", {"client_id": "broker", "client_secret": "broker's word"}, "broker"),
        ("", {"client_id": "public"}, "public"),
    ],
)
def test_a_client_shows_itself_in_three_ways(
    state: IssuerState, authorization: str, form: dict[str, str], client_id: str
) -> None:
    """By Basic, in the form, or by name alone if it has no secret."""
    assert authenticate(state, authorization, form).client_id == client_id


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        (basic("broker", "wrong"), {}),
        (basic("broker", "broker's word"), {"client_id": "other"}),
        ("Basic ???", {}),
        ("", {"client_id": "broker"}),
        ("", {"client_id": "broker", "client_secret": "wrong"}),
        ("", {"client_id": "public", "client_secret": "any"}),
        ("", {"client_id": "nobody"}),
        ("", {}),
    ],
)
def test_a_client_that_proves_nothing_is_refused(
    state: IssuerState, authorization: str, form: dict[str, str]
) -> None:
    """401 `invalid_client`, and the secret is not repeated."""
    with pytest.raises(OAuthError) as refusal:
        authenticate(state, authorization, form)
    assert (refusal.value.error, refusal.value.status) == ("invalid_client", 401)
    assert "word" not in str(refusal.value)
