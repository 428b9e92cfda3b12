"""What each answer of a token endpoint proves; what it does not prove is unclear."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.device import LoginOver, StillPending
from credbroker.domain.errors import (
    ClientRejected,
    CredbrokerError,
    GrantPaused,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerRefusedRequest,
    IssuerUnreachable,
    LoginDenied,
    LoginExpired,
    Malformed,
    Unavailable,
)
from credbroker.domain.outcomes import Dead, NotActedOn, Renewed, Unclear
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.telemetry.canaries import Canaries
from credbroker.wire.oidc import (
    LONGEST_RETRY_AFTER_SECONDS,
    check_probe,
    check_success,
    form,
    poll_outcome,
    read_device_start,
    read_renewed,
    read_retry_after,
    refresh_outcome,
)
from tests.unit.things import NOON

REFRESH = "kd83jf0aKQ1zP5vbnT7wXyQm"
AUP = "User ada needs to sign AUP for this organization in order to proceed."


def body(**fields: object) -> bytes:
    """Write a JSON answer."""
    return json.dumps(fields).encode()


def error(word: str, text: object = "no luck") -> bytes:
    """Write an OAuth error."""
    return body(error=word, error_description=text)


# Refreshes


@pytest.mark.parametrize(
    ("status", "answer", "outcome", "kind"),
    [
        (401, error("invalid_token"), Dead, None),
        (400, error("invalid_grant"), Dead, None),
        (400, error("invalid_grant", AUP), NotActedOn, GrantPaused),
        (400, error("invalid_grant", "Sign the (AUP)."), NotActedOn, GrantPaused),
        (401, error("unauthorized", "User ada is not active."), NotActedOn, GrantPaused),
        (401, error("unauthorized", "User account is disabled"), NotActedOn, GrantPaused),
        (401, error("unauthorized", "Account suspended"), NotActedOn, GrantPaused),
        (401, error("unauthorized", "Bad client credentials"), NotActedOn, ClientRejected),
        (401, error("invalid_client"), NotActedOn, ClientRejected),
        (401, error("invalid_client", "Client is suspended: broker"), NotActedOn, ClientRejected),
        (400, error("unauthorized_client"), NotActedOn, ClientRejected),
        (400, error("invalid_scope"), NotActedOn, IssuerRefusedRequest),
        (403, error("access_denied"), NotActedOn, IssuerRefusedRequest),
        (400, error("invalid_target"), Unclear, IssuerRefusedRequest),
        (400, error("never_heard_of"), Unclear, IssuerRefusedRequest),
        (404, error("not_here"), NotActedOn, IssuerRefusedRequest),
        (400, error("Bad Request"), Unclear, IssuerMisbehaved),
        (400, error("server_error"), Unclear, IssuerMisbehaved),
        (429, error("slow_down"), NotActedOn, IssuerUnreachable),
        (400, b"", Unclear, None),
        (401, b"<html>", Unclear, None),
        (307, b"", NotActedOn, None),
        (404, b"<html>", NotActedOn, None),
        (429, b"slow", NotActedOn, IssuerUnreachable),
        (301, b"", Unclear, None),
        (302, b"", Unclear, None),
        (500, error("server_error"), Unclear, IssuerFailed),
        (502, b"<html>", Unclear, IssuerFailed),
        (503, b"", Unclear, IssuerUnreachable),
        (504, b"", Unclear, IssuerFailed),
        (200, b"<html>", Unclear, IssuerMisbehaved),
        (200, b'{"error":"invalid_grant"}', Unclear, IssuerMisbehaved),
        (204, b"", Unclear, None),
    ],
)
def test_an_answer_to_a_refresh_proves_what_the_table_says(
    status: int, answer: bytes, outcome: type, kind: type[CredbrokerError] | None
) -> None:
    """INDIGO IAM's deviations included: 401 means "dead", "our client" or "the user" by its word."""
    got = refresh_outcome(status, answer)
    assert type(got) is outcome
    assert not isinstance(got, Renewed)
    assert kind is None or type(got.error) is kind


@given(st.integers(100, 599), st.binary(max_size=80))
def test_rubbish_never_kills_a_grant(status: int, answer: bytes) -> None:
    """Only the issuer's own word does."""
    assert isinstance(refresh_outcome(status, b"?" + answer), Unclear | NotActedOn)


@pytest.mark.parametrize("text", ["", None, 5, ["x"], {"a": "b"}])
def test_an_odd_description_does_not_hide_the_word(text: object) -> None:
    """Else a dead token would be posted for ever, and a waiting login would fail."""
    assert isinstance(refresh_outcome(400, error("invalid_grant", text)), Dead)
    assert isinstance(poll_outcome(400, error("authorization_pending", text)), StillPending)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("86400", LONGEST_RETRY_AFTER_SECONDS),
        ("9" * 5000, LONGEST_RETRY_AFTER_SECONDS),
        ("Mon, 01 Jun 2026 12:01:30 GMT", 90.0),
        ("Mon, 01 Jun 2026 12:01:30 -0000", 90.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", LONGEST_RETRY_AFTER_SECONDS),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 99 Jun 2026 12:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_an_issuers_wish_to_rest_is_read_and_bounded(said: str | None, read: float | None) -> None:
    """RFC 9110 section 10.2.3: seconds or a date; an hour at the most."""
    assert read_retry_after(said, NOON) == read


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_no_wish_to_rest_makes_an_answer_unreadable(said: str) -> None:
    """Whatever stands in the header."""
    read = read_retry_after(said, NOON)
    assert read is None or 0 <= read <= LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (429, b"slow", NotActedOn),
        (503, b"", Unclear),
        (401, error("invalid_client"), NotActedOn),
    ],
)
def test_an_outcome_says_how_long_the_issuer_wants_to_rest(
    status: int, answer: bytes, kind: type
) -> None:
    """503 too, though it proves nothing about the token."""
    for wish in (17.0, None):
        got = refresh_outcome(status, answer, wish)
        assert isinstance(got, NotActedOn | Unclear)
        assert type(got) is kind
        assert got.retry_after_seconds == wish


def test_a_verdict_is_the_same_whatever_the_wish_to_rest() -> None:
    """Neither a dead token nor a success has one."""
    assert isinstance(refresh_outcome(400, error("invalid_grant"), 17.0), Dead)
    assert isinstance(refresh_outcome(200, body(access_token="a"), 17.0), Renewed)


@pytest.mark.parametrize("word", ["invalid_grant", "invalid_token", "invalid_scope", "whatever"])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_issuer_that_refuses_a_made_up_token_is_sound(status: int, word: str) -> None:
    """In whatever word of OAuth."""
    check_probe(status, error(word))


@pytest.mark.parametrize(
    ("status", "answer"),
    [(400, b"Bad Request"), (401, b""), (404, b"<html>"), (429, b"<html>too many")],
)
def test_any_refusal_of_a_made_up_token_shows_that_the_issuer_is_there(
    status: int, answer: bytes
) -> None:
    """How it refreshes, only a refresh tells."""
    check_probe(status, answer)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (401, error("invalid_client"), ClientRejected),
        (401, error("unauthorized", "Bad client credentials"), ClientRejected),
        (400, error("unauthorized_client"), ClientRejected),
        (500, error("server_error"), IssuerFailed),
        (502, b"<html>", IssuerFailed),
        (503, b"", IssuerFailed),
        (302, b"", IssuerFailed),
        (200, b"<html>maintenance", IssuerFailed),
        (200, body(access_token="a"), IssuerFailed),
        (200, error("invalid_grant"), IssuerFailed),
    ],
)
def test_a_probe_tells_our_client_from_the_issuers_trouble(
    status: int, answer: bytes, kind: type[CredbrokerError]
) -> None:
    """An issuer that takes a made-up token is not sound either."""
    with pytest.raises(kind):
        check_probe(status, answer)


WORDS = [
    *["invalid_token", "invalid_grant", "invalid_client", "unauthorized", "invalid_scope"],
    *["server_error", "slow_down", "access_denied", "expired_token", "never_heard_of"],
]


READERS: list[Callable[[int, bytes], object]] = [
    refresh_outcome,
    check_probe,
    poll_outcome,
    read_device_start,
    lambda status, answer: vars(check_success(status, answer, "The answer")).keys(),
]


def test_the_issuers_text_is_never_repeated(canaries: Canaries) -> None:
    """Incident 23: error texts quote refresh tokens and device codes."""
    canaries.plant("refresh token", REFRESH)
    for status, word in itertools.product([200, 400, 401, 403, 429, 500], WORDS):
        answers = [
            error(word, f"Bad token: {REFRESH}"),
            error(f"{word} {REFRESH}"),
            REFRESH.encode(),
        ]
        asked = itertools.product(READERS, answers)
        seen = [_said(ask, status, answer) for ask, answer in asked]
        canaries.search_text(f"{status} {word}", " ".join(seen).encode())


def _said(ask: Callable[[int, bytes], object], status: int, answer: bytes) -> str:
    try:
        return repr(ask(status, answer))
    except CredbrokerError as refused:
        return f"{refused!r} {refused.remedy}"


# Successful answers


@pytest.mark.parametrize("refresh", [{}, {"refresh_token": None}, {"refresh_token": ""}])
def test_an_answer_without_a_successor_is_a_success(refresh: dict[str, object]) -> None:
    """Incident 15: an issuer that does not rotate sends none."""
    got = refresh_outcome(200, body(access_token="a", **refresh))
    assert got == Renewed(Secret("access token", "a"))


def test_a_whole_answer_is_read() -> None:
    """Tokens, scope and lifetimes."""
    fields = {
        "access_token": "a",
        "refresh_token": "r",
        "id_token": "i",
        "scope": "openid storage.read:/",
    }
    assert read_renewed(body(**fields, expires_in=60, refresh_expires_in=600)) == Renewed(
        Secret("access token", "a"),
        Secret("refresh token", "r"),
        Secret("ID token", "i"),
        ScopeSet.parse("openid storage.read:/"),
        60.0,
        600.0,
    )


@pytest.mark.parametrize("name", ["expires_in", "refresh_expires_in"])
@pytest.mark.parametrize(
    ("said", "read"),
    [
        (60, 60.0),
        ("60", 60.0),
        (0, None),
        (-5, None),
        (1e14, None),
        ("soon", None),
        ([], None),
        (True, None),
        ("9" * 400, None),
    ],
)
def test_an_odd_lifetime_does_not_cost_the_successor(
    name: str, said: object, read: float | None
) -> None:
    """The refresh token beside it may be the only good one left; zero is some issuers' "no end"."""
    got = read_renewed(body(access_token="a", refresh_token="r", **{name: said}))
    assert got.refresh_token == Secret("refresh token", "r")
    assert getattr(got, name) == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("storage.read:/a storage.read:/a/../b fts", "storage.read:/a fts"),
        ("storage.read", ""),
        ("", ""),
        (["storage.read:/"], ""),
        (5, ""),
    ],
)
def test_a_scope_that_cannot_be_read_was_not_granted(said: object, read: str) -> None:
    """And it does not cost the successor either."""
    got = read_renewed(body(access_token="a", refresh_token="r", scope=said))
    assert got.refresh_token == Secret("refresh token", "r")
    assert str(got.scopes) == read


@pytest.mark.parametrize(
    "odd",
    [{"access_token": None}, {"access_token": 5}, {"refresh_token": 5}, {"id_token": {"a": 1}}],
)
def test_an_odd_token_makes_the_answer_unreadable(odd: dict[str, object]) -> None:
    """Nobody could say what is good now."""
    with pytest.raises(Malformed):
        read_renewed(body(**{"access_token": "a"} | odd))


# Device logins


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "access_denied", LoginDenied),
        (400, "expired_token", LoginExpired),
        (400, "invalid_grant", LoginExpired),
        (401, "invalid_client", ClientRejected),
        (401, "unauthorized", ClientRejected),
        (400, "invalid_scope", IssuerRefusedRequest),
    ],
)
def test_a_login_ends_by_the_issuers_word(status: int, word: str, kind: type) -> None:
    """RFC 8628 section 3.5."""
    got = poll_outcome(status, error(word))
    assert isinstance(got, LoginOver)
    assert type(got.error) is kind


def test_a_login_goes_on_while_the_issuer_says_so() -> None:
    """Slower if it asks for that."""
    assert poll_outcome(400, error("authorization_pending")) == StillPending()
    assert poll_outcome(400, error("slow_down")) == StillPending(slower=True)


@pytest.mark.parametrize("status", [200, 302, 429, 500, 502])
def test_an_answer_that_says_nothing_does_not_end_a_login(status: int) -> None:
    """It is asked again later."""
    with pytest.raises(Unavailable):
        poll_outcome(status, b"<html>")


STARTED = {"device_code": "d", "user_code": "ABC-123", "verification_uri": "https://i.test/device"}


def test_a_device_answer_has_the_standards_defaults() -> None:
    """IAM names no interval, and no lifetime where the client has none."""
    started = read_device_start(200, body(**STARTED))
    assert (started.interval_seconds, started.expires_in) == (5.0, 600.0)
    assert started.verification_uri_complete is None


@pytest.mark.parametrize(
    ("name", "value"), [("interval", -5), ("interval", 0), ("interval", "x"), ("expires_in", 1e14)]
)
def test_an_odd_time_in_a_device_answer_becomes_the_default(name: str, value: object) -> None:
    """So that nobody polls in a spin or waits for ever."""
    started = read_device_start(200, body(**STARTED | {name: value}))
    assert (started.interval_seconds, started.expires_in) == (5.0, 600.0)


@pytest.mark.parametrize(
    "odd",
    [
        {"verification_uri": "file:///etc/passwd"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://i.test/\x1b[2J"},
        {"verification_uri": "https://i.test/ $(reboot)"},
        {"verification_uri_complete": "ftp://i.test/"},
        {"user_code": "AB\x1b[2J"},
        {"user_code": "A\nB"},
        {"device_code": None},
    ],
)
def test_a_device_answer_unfit_for_a_terminal_is_refused(odd: dict[str, object]) -> None:
    """What it says is shown to a person, or handed to a browser."""
    with pytest.raises(IssuerMisbehaved):
        read_device_start(200, body(**STARTED | odd))


def test_a_refused_device_request_tells_why() -> None:
    """By the issuer's word, else by its status."""
    for status, answer, kind in [
        (400, error("invalid_scope"), IssuerRefusedRequest),
        (401, error("invalid_client"), ClientRejected),
        (503, b"", IssuerUnreachable),
        (404, b"", IssuerMisbehaved),
    ]:
        with pytest.raises(kind):
            read_device_start(status, answer)


# Forms


def test_a_form_has_no_empty_fields_and_repeats_lists() -> None:
    """RFC 8707 names each resource in a field of its own."""
    fields = {"a": "x y&z", "b": None, "resource": ["https://1.test", "https://2.test"], "c": []}
    assert form(fields) == b"a=x+y%26z&resource=https%3A%2F%2F1.test&resource=https%3A%2F%2F2.test"
