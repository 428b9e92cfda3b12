"""What an issuer's answer to an authorization code says about the login."""

from __future__ import annotations

import json

import pytest

from credbroker.domain.device import LoginOver
from credbroker.domain.errors import (
    ClientRejected,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerUnreachable,
    LoginExpired,
    Unavailable,
)
from credbroker.domain.outcomes import Renewed
from credbroker.wire.oidc import redeem_outcome


def test_a_token_answer_is_a_login() -> None:
    """Its tokens stay wrapped."""
    body = {"access_token": "a", "refresh_token": "r", "id_token": "i", "expires_in": 60}
    outcome = redeem_outcome(200, json.dumps(body).encode())
    assert isinstance(outcome, Renewed)
    assert outcome.refresh_token is not None


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [(400, "invalid_grant", LoginExpired), (401, "invalid_client", ClientRejected)],
)
def test_a_refusal_ends_the_login(status: int, word: str, error: type[Exception]) -> None:
    """A code that was used or came too late, or our own client (RFC 6749 section 5.2)."""
    outcome = redeem_outcome(status, json.dumps({"error": word}).encode())
    assert isinstance(outcome, LoginOver)
    assert isinstance(outcome.error, error)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"{}", IssuerMisbehaved),
        (200, b"<html>", IssuerMisbehaved),
        (503, b"", IssuerUnreachable),
        (500, b"", IssuerFailed),
        (418, b"{}", IssuerMisbehaved),
    ],
)
def test_what_says_nothing_about_the_login_may_be_tried_again(
    status: int, body: bytes, error: type[Unavailable]
) -> None:
    """It is an outage, not the person's doing."""
    with pytest.raises(error):
        redeem_outcome(status, body)
