"""What goes to an HTVault and what is read of its answers; the rest, the credmon's tests say."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from credbroker.client.broker import told_at
from credbroker.client.http11 import Answer
from credbroker.client.htvault_tokens import ask, read_answer, read_loosely
from credbroker.domain.errors import (
    BrokerUnreachable,
    IssuerFailed,
    IssuerMisbehaved,
    Malformed,
    NotAllowed,
    Refused,
)
from credbroker.domain.secret import Secret
from tests.fakes.broker import access_token

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
VAULT_TOKEN = Secret("vault token", "hvs.x")


def answer(status: int, body: object, date: str = "") -> Answer:
    """Return an answer with JSON in it."""
    return Answer(status, {"date": date} if date else {}, json.dumps(body).encode())


def test_a_request_names_no_more_than_is_wanted() -> None:
    """Without narrowing there is a life alone; the vault token is in the header."""
    request = ask("/v1/secret/oauth/creds/i/u:r", VAULT_TOKEN, minimum_seconds=60)
    assert request.target == "/v1/secret/oauth/creds/i/u:r?minimum_seconds=60"
    assert request.headers["X-Vault-Token"] == "hvs.x"
    narrowed = ask("/v1/x", VAULT_TOKEN, minimum_seconds=60, scopes=["a:/ b"], audiences=["h&k"])
    assert narrowed.target == "/v1/x?minimum_seconds=60&scopes=a%3A%2F+b&audiences=h%26k"


def test_a_token_of_any_profile_is_read() -> None:
    """What it does not say is empty; without an end it is none."""
    bare: dict[str, Any] = {"wlcg.ver": None, "iss": None, "sub": None, "iat": None, "jti": 5}
    token = read_loosely(access_token(NOW, **bare), NOW)
    assert (token.issuer_url, token.subject, token.jti, token.issued_at) == ("", "", "", NOW)
    assert token.seconds_left(NOW) == 3600
    for end in (None, "soon", 1e14):
        with pytest.raises(Malformed):
            read_loosely(access_token(NOW, exp=end), NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NotAllowed), (403, NotAllowed), (400, NotAllowed), (404, NotAllowed),
     (307, BrokerUnreachable), (429, BrokerUnreachable), (503, BrokerUnreachable),
     (500, IssuerFailed)],
)  # fmt: skip
def test_a_refusal_is_about_the_asker_and_trouble_is_not(
    status: int, kind: type[Exception]
) -> None:
    """Neither says that a login has ended, and none is quoted."""
    with pytest.raises(kind) as refused:
        read_answer(answer(status, {"errors": ["permission denied for hvs.x"]}), NOW)
    assert "hvs.x" not in str(refused.value)
    assert (status in {400, 401, 403, 404}) is isinstance(refused.value, Refused)


@pytest.mark.parametrize(
    "body",
    [[], {}, {"data": None}, {"data": {"access_token": ""}}, {"data": {"access_token": "x"}}],
)
def test_what_is_no_token_is_said(body: object) -> None:
    """A page of something else has status 200, too."""
    with pytest.raises(IssuerMisbehaved):
        read_answer(answer(200, body), NOW)


def test_times_are_judged_by_the_servers_clock() -> None:
    """It comes with each answer; a strange date is none."""
    assert told_at(answer(200, {}, "Mon, 01 Jun 2026 12:00:00 GMT")) == NOW
    assert told_at(answer(200, {}, "yesterday")) is None
    assert told_at(answer(200, {})) is None
