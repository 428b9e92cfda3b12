"""What an issuer's answer to an exchange means: nothing is used up, and only a token is a token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credbroker.domain.breaker import Evidence, evidence
from credbroker.domain.errors import (
    CredbrokerError,
    GrantPaused,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Renewed
from credbroker.wire.exchange import exchange_outcome


def body(**fields: Any) -> bytes:
    """Return a JSON answer."""
    return json.dumps(fields).encode()


def test_an_access_token_is_taken_and_a_refresh_token_dropped() -> None:
    """FTS gets one by asking for `offline_access`; we did not."""
    outcome = exchange_outcome(
        200, body(access_token="a", refresh_token="r", issued_token_type="x", expires_in=60)
    )
    assert isinstance(outcome, Renewed)
    assert outcome.access_token.reveal() == "a"
    assert outcome.refresh_token is None


@pytest.mark.parametrize("error", ["invalid_token", "invalid_grant"])
def test_a_subject_token_that_is_not_taken_is_dead(error: str) -> None:
    """Expired, revoked or unknown at the issuer."""
    assert isinstance(exchange_outcome(401, body(error=error)), Dead)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "said"),
    [
        (400, {"error": "invalid_scope"}, IssuerRefusedRequest, Evidence.SPOKE),
        (400, {"error": "invalid_target"}, IssuerRefusedRequest, Evidence.SPOKE),
        (403, {"error": "access_denied"}, IssuerRefusedRequest, Evidence.SPOKE),
        (401, {"error": "invalid_client"}, IssuerRefusedRequest, Evidence.SPOKE),
        (400, {"error": "unauthorized_client"}, IssuerRefusedRequest, Evidence.SPOKE),
        (400, {"error": "unsupported_grant_type"}, IssuerRefusedRequest, Evidence.SPOKE),
        (
            400,
            {"error": "invalid_grant", "error_description": "sign the AUP"},
            GrantPaused,
            Evidence.SPOKE,
        ),
        (200, {}, IssuerMisbehaved, Evidence.FAILED),
        (500, {}, IssuerFailed, Evidence.FAILED),
        (503, {}, IssuerUnreachable, Evidence.SILENT),
    ],
)
def test_anything_else_is_said_in_words_and_leaves_nothing_in_doubt(
    status: int, answer: dict[str, str], kind: type[CredbrokerError], said: Evidence
) -> None:
    """What is said of our client here is said of exchange: refreshes go on."""
    outcome = exchange_outcome(status, body(**answer), 17.0)
    assert isinstance(outcome, NotActedOn)
    assert type(outcome.error) is kind
    if kind is not IssuerRefusedRequest:
        assert outcome.retry_after_seconds == 17.0
    assert evidence(NotActedOn(outcome.error)) is said
