"""Every error has an HTTP answer, and none of them says what it must not."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from credbroker.api.answering import answering_problems
from credbroker.api.problems import LEASE_ID, problem, status_of
from credbroker.domain.errors import (
    AuditUnavailable,
    BrokerFault,
    CredbrokerError,
    GrantLost,
    Misconfigured,
    NotAllowed,
    OutsideCeiling,
    Refused,
    StoreUnavailable,
    Unavailable,
    leaves,
)
from credbroker.wire.problem import read_problem
from tests.fakes.audit import FakeAudit
from tests.fakes.entropy import FakeEntropy

SENTENCE = "It did not work."


def body_of(answer: web.StreamResponse) -> bytes:
    """Return the bytes of an answer that is whole."""
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    return answer.body


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_every_kind_of_error_has_a_status_and_comes_back_as_itself(
    kind: type[CredbrokerError],
) -> None:
    """The status fits its family, and a client reads the same kind, sentence and request id."""
    answer = problem(kind(SENTENCE), "request-1")
    families: dict[type[CredbrokerError], set[int]] = {
        Refused: {400, 401, 403, 404},
        GrantLost: {403},
        Unavailable: {429, 500, 503},
    }
    expected = next((codes for one, codes in families.items() if issubclass(kind, one)), {502})
    assert status_of(kind(SENTENCE)) in expected
    read = read_problem(answer.status, body_of(answer))
    assert (type(read), read.sentence, read.request_id) == (kind, SENTENCE, "request-1")


def test_every_family_is_a_row_of_the_table() -> None:
    """So a kind of error that is added tomorrow has its status already."""
    for family in (Refused, GrantLost, Unavailable, Misconfigured):
        assert 400 <= status_of(family(SENTENCE)) < 600


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_who_should_come_back_is_told_when_and_who_lacks_a_lease_how(
    kind: type[CredbrokerError],
) -> None:
    """`Retry-After` with 429 (RFC 6585) and 503, `WWW-Authenticate` with 401, and with nothing else."""
    answer = problem(kind(SENTENCE), "request-1")
    assert ("Retry-After" in answer.headers) is (answer.status in {429, 503})
    assert ("WWW-Authenticate" in answer.headers) is (answer.status == 401)


async def answered(
    raised: Exception, audit: FakeAudit, headers: dict[str, str] | None = None
) -> web.StreamResponse:
    """Let a request fail with `raised` inside the middleware."""

    async def fail(request: web.Request) -> web.StreamResponse:
        request[LEASE_ID] = "lease-1"
        raise raised

    request = make_mocked_request("POST", "/api/v1/tokens", headers=headers)
    return await answering_problems(FakeEntropy(), audit)(request, fail)


async def test_a_refusal_is_on_the_trail_before_it_is_answered() -> None:
    """Who was refused what and why, under the id that the answer carries."""
    audit = FakeAudit()
    answer = await answered(OutsideCeiling("Too much."), audit)
    line = audit.last("refused")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert (line["lease"], line["error"], line["why"]) == (
        "lease-1", "outside_ceiling", "Too much.",
    )  # fmt: skip
    assert (line["method"], line["path"]) == ("POST", "/api/v1/tokens")


@pytest.mark.parametrize("raised", [StoreUnavailable("Away."), ValueError("a bug")])
async def test_what_nobody_was_refused_is_not_on_the_trail(raised: Exception) -> None:
    """An outage is in the log; the trail is for who got what, and who did not."""
    audit = FakeAudit()
    answer = await answered(raised, audit)
    assert answer.status in {500, 503}
    assert audit.lines == []


async def test_a_refusal_that_cannot_be_written_down_says_so() -> None:
    """Else a full disk would make attempts invisible."""
    audit = FakeAudit()
    audit.refused.add("refused")
    answer = await answered(NotAllowed("No."), audit)
    assert answer.status == 503
    assert json.loads(body_of(answer))["error"] == AuditUnavailable.code


async def test_an_unforeseen_error_is_answered_without_a_word_of_it() -> None:
    """Its text was written by nobody for anybody, and may hold a secret."""
    answer = await answered(RuntimeError("refresh_token=abc"), FakeAudit())
    assert answer.status == 500
    assert json.loads(body_of(answer))["error"] == BrokerFault.code
    assert b"abc" not in body_of(answer)


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 415, 417])
async def test_what_the_framework_refuses_keeps_its_status(status: int) -> None:
    """And becomes a problem like any other."""
    kinds: dict[int, web.HTTPException] = {
        400: web.HTTPBadRequest(),
        404: web.HTTPNotFound(),
        405: web.HTTPMethodNotAllowed("PUT", ["GET", "POST"]),
        408: web.HTTPRequestTimeout(),
        413: web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2),
        415: web.HTTPUnsupportedMediaType(),
        417: web.HTTPExpectationFailed(),
    }
    answer = await answered(kinds[status], FakeAudit())
    assert answer.status == status
    assert set(json.loads(body_of(answer))) == {"error", "message", "remedy", "request_id"}
    assert answer.content_type == "application/json"
    assert answer.headers.get("Allow") == ("GET,POST" if status == 405 else None)


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "semi;colon", "ümlaut-ü"])
async def test_a_request_id_that_is_not_harmless_is_replaced(given: str) -> None:
    """It ends up in logs and on terminals."""
    answer = await answered(NotAllowed("No."), FakeAudit(), {"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] != given
