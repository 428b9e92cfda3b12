"""Errors in Vault's form: the words on which a credmon deletes stand in one kind alone."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from credbroker.api.answering import answering_problems
from credbroker.api.vault_answers import DEADLY, LOG_IN_AGAIN, answer, auth_of, errors, vault_errors
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    LeaseUnknown,
    NotFound,
    TooManyRequests,
    leaves,
)
from tests.fakes.audit import FakeAudit
from tests.fakes.entropy import FakeEntropy
from tests.unit.things import LEASE_TOKEN, NOON, lease, seconds

SENTENCE = "It did not work."


def said(answered: web.StreamResponse) -> list[str]:
    """Return the texts of an error."""
    assert isinstance(answered, web.Response)
    texts = json.loads(answered.text or "")["errors"]
    assert isinstance(texts, list)
    return texts


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_only_a_lease_that_is_over_is_told_in_the_deadly_words(
    kind: type[CredbrokerError],
) -> None:
    """Each error has one text with its sentence, its remedy and the request's id."""
    error = kind(SENTENCE)
    answered = vault_errors(error, "request-1")
    (text,) = said(answered)
    remedy = LOG_IN_AGAIN if error.remedy.startswith("Log in again with") else error.remedy
    assert (SENTENCE in text, remedy in text, "request-1" in text) == (True, True, True)
    assert "Log in again with: credbroker login" not in text
    assert (DEADLY in text) is (kind is LeaseEnded)
    assert answered.status != 401


def test_a_lease_that_is_over_or_unknown_is_forbidden_as_with_vault() -> None:
    """Vault knows no status 401; only the words tell the two apart."""
    over, unknown = vault_errors(LeaseEnded(SENTENCE), "r"), vault_errors(LeaseUnknown("?"), "r")
    assert (over.status, unknown.status) == (403, 403)
    assert said(over)[0].startswith(f"{DEADLY}: ")


def test_a_name_that_somebody_typed_brings_the_deadly_words_in_no_better() -> None:
    """A credmon that reads a sentence with such a name deletes nothing."""
    (text,) = said(vault_errors(NotFound("There is no 'Permission  Denied' here."), "r"))
    assert DEADLY not in " ".join(text.lower().split())


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    """In the header that every client library knows."""
    answered = vault_errors(TooManyRequests("Too often.", wait_seconds=7.2), "r")
    assert (answered.status, answered.headers["Retry-After"]) == (429, "8")


def test_texts_that_clients_compare_are_sent_as_they_are() -> None:
    """Nothing is added to them."""
    answered = errors("authorization_pending")
    assert (answered.status, said(answered)) == (400, ["authorization_pending"])


def test_a_lease_is_handed_over_with_the_seconds_left_of_it() -> None:
    """Whole seconds, never more than are left, never less than none."""
    one = lease(ends_at=NOON + seconds(600.9))
    auth = auth_of(LEASE_TOKEN, one, NOON, {"credkey": "ada"}, ["sshregister-egi"])
    assert auth["client_token"] == LEASE_TOKEN.text()
    assert (auth["lease_duration"], auth["renewable"]) == (600, False)
    assert (auth["policies"], auth["metadata"]) == (["sshregister-egi"], {"credkey": "ada"})
    late = auth_of(LEASE_TOKEN, one, NOON + seconds(700), {})
    assert late["lease_duration"] == 0
    body = json.loads(answer(auth=auth).text or "")
    assert body["auth"]["client_token"].startswith("cb_")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/sys/none", "errors"),
        ("/htgettokenopts.txt", "errors"),
        ("/api/v1/none", "error"),
        ("/v1", "error"),
    ],
)
async def test_the_path_decides_the_form(path: str, form: str) -> None:
    """What HTVault served is answered as it did, everything else as a problem."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    answering = answering_problems(FakeEntropy(), FakeAudit())
    answered = await answering(make_mocked_request("GET", path), handler)
    assert isinstance(answered, web.Response)
    assert answered.status == 404
    assert form in json.loads(answered.text or "")


async def test_a_fault_in_the_broker_says_nothing_of_itself() -> None:
    """Status 500, no stack trace, no words of the exception."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise RuntimeError("secret-words")

    answering = answering_problems(FakeEntropy(), FakeAudit())
    answered = await answering(make_mocked_request("GET", "/v1/secret/oauth/x"), handler)
    assert answered.status == 500
    assert "secret-words" not in said(answered)[0]
