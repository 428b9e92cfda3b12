"""Every error has an OAuth code, and every answer OAuth's form."""

from __future__ import annotations

import json

import pytest

from credbroker.api.oauth_answers import SubjectRefused, UnknownGrant, refused, said
from credbroker.api.problems import status_of
from credbroker.domain.errors import (
    CredbrokerError,
    Misconfigured,
    ScopeRefused,
    TokenRefused,
    TooManyRequests,
    Unavailable,
    leaves,
)

# RFC 6749 sections 4.1.2.1 (for 5xx) and 5.2, RFC 8693 section 2.2.2.
OF_CLIENTS = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
    "unsupported_grant_type", "invalid_scope", "invalid_target",
}  # fmt: skip
OF_OURS = {"temporarily_unavailable", "server_error"}
SENTENCE = "It did not work."


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_every_kind_of_error_has_a_code_of_the_standards(kind: type[CredbrokerError]) -> None:
    """Whose fault it is decides the status: 4xx is never answered for a fault of ours."""
    answer = refused(kind(SENTENCE), "request-1")
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body)
    assert set(told) == {"error", "error_description", "request_id"}
    assert told["error_description"].startswith(SENTENCE)
    if issubclass(kind, TooManyRequests):
        assert (answer.status, told["error"]) == (429, "temporarily_unavailable")
    elif issubclass(kind, Unavailable | Misconfigured):
        assert answer.status in {500, 503}
        assert told["error"] in OF_OURS
    else:
        assert answer.status == (401 if told["error"] == "invalid_client" else 400)
        assert told["error"] in OF_CLIENTS
    assert ("Retry-After" in answer.headers) is (answer.status in {429, 503})
    assert ("WWW-Authenticate" in answer.headers) is (answer.status == 401)


def test_the_codes_that_only_one_request_has_differ_from_their_families() -> None:
    """An unknown kind of grant (RFC 6749 5.2), a bad token in an exchange (RFC 8693 2.2.2)."""
    for error, code in (
        (UnknownGrant(SENTENCE), "unsupported_grant_type"),
        (SubjectRefused(SENTENCE), "invalid_request"),
        (TokenRefused(SENTENCE), "invalid_grant"),
    ):
        answer = refused(error, "request-1")
        assert isinstance(answer.body, bytes)
        assert json.loads(answer.body)["error"] == code


def test_what_looks_like_a_token_in_a_sentence_is_left_out() -> None:
    """Somebody may send one as a scope, which a refusal names."""
    answer = refused(ScopeRefused("Not allowed: eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln."), "r")
    assert isinstance(answer.body, bytes)
    assert b"eyJ" not in answer.body


def test_nobody_keeps_an_answer() -> None:
    """Neither old caches nor new ones (RFC 6749 section 5.1)."""
    assert said(b"{}").headers["Pragma"] == "no-cache"
    assert refused(ScopeRefused(SENTENCE), "r").headers["Pragma"] == "no-cache"


def test_statuses_for_the_native_api_stay_its_own() -> None:
    """These kinds are Refused ones there, too."""
    assert status_of(UnknownGrant(SENTENCE)) == 400
