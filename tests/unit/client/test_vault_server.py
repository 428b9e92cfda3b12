"""A server in HTVault's way: what goes out to it, what is read of its answers, what is told of them."""

from __future__ import annotations

import base64
import json

import pytest

from credbroker.client.http11 import Answer, Request
from credbroker.client.vault_server import StillPending, VaultServer
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    IssuerFailed,
    LeaseUnknown,
    LoginNeeded,
    NotAllowed,
    TooManyRequests,
)
from credbroker.domain.secret import Secret
from tests.fakes.htvault import NEW_VAULT_TOKEN, REFRESH_TOKEN, FakeHtvault, answer, login, refusal

SHOWN = Secret("vault token", "hvs.shown")
PATH = "secret/oauth/creds/cms/ada@example.org/cron:de fault%"


def asking(*answers: Answer) -> tuple[VaultServer, FakeHtvault, list[str]]:
    """Return a server that answers so to everything, what it was asked, and what was told of that."""
    fake, told = FakeHtvault(), list[str]()
    fake.plan("/", *answers)
    return VaultServer(fake, told.append), fake, told


def test_reading_shows_the_vault_token_and_tells_of_no_secret() -> None:
    """Names go into the path as htgettoken writes them, and the query as forms are."""
    server, fake, told = asking(answer({"data": {"access_token": "a.b.c"}}))
    query = {"minimum_seconds": "60", "scopes": "a b/c"}
    assert server.read(PATH, query, SHOWN).reveal() == "a.b.c"
    (asked,) = fake.asked
    target = "/v1/secret/oauth/creds/cms/ada@example.org/cron:de%20fault%25"
    assert asked == Request("GET", f"{target}?minimum_seconds=60&scopes=a+b%2Fc", asked.headers)
    assert asked.headers["X-Vault-Token"] == "hvs.shown"
    assert told == [f"GET /v1/{PATH}: status 200"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, NotAllowed),
        (401, LeaseUnknown),
        (403, LeaseUnknown),
        (404, LoginNeeded),
        (429, TooManyRequests),
        (500, IssuerFailed),
        (503, BrokerUnreachable),
        (307, BrokerUnreachable),
        (599, BrokerUnreachable),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"errors": [1]}', b'{"errors": ["why to log in"]}']
)
def test_a_refusal_is_what_its_status_says(
    status: int, kind: type[CredbrokerError], body: bytes
) -> None:
    """With the server's words if it has some."""
    server, _, _ = asking(Answer(status, {}, body))
    with pytest.raises(kind) as refused:
        server.read(PATH, {}, SHOWN)
    assert (
        f"status {status}: {'why to log in' if b'why' in body else 'it does not say why'}."
        in str(refused)
    )


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("1 error occurred:\n\t* permission denied", LeaseUnknown),
        ("This login is over. Run htgettoken again to log in.", LeaseUnknown),
        ("That is outside of it. Ask for less, or log in with a role that allows it.", NotAllowed),
    ],
)
def test_a_missing_right_is_no_missing_login(words: str, kind: type[CredbrokerError]) -> None:
    """Though both have one status."""
    server, _, _ = asking(refusal(403, words))
    with pytest.raises(kind):
        server.read(PATH, {}, SHOWN)


def test_no_refusal_quotes_a_secret() -> None:
    """Neither what was sent, nor what else could be one, nor what moves a terminal."""
    long = "eyJ" + "x" * 60
    server, _, _ = asking(
        refusal(400, f"bad {REFRESH_TOKEN} of hvs.shown\x1b[2J", long, "y " * 900)
    )
    with pytest.raises(NotAllowed) as refused:
        server.store(PATH, "cms", Secret("refresh token", REFRESH_TOKEN), SHOWN)
    sentence = refused.value.sentence
    assert "bad (not shown) of (not shown) [2J (not shown)" in sentence
    assert len(sentence) < 500
    assert all(one not in sentence for one in (REFRESH_TOKEN, "hvs.shown", long, "\x1b"))


@pytest.mark.parametrize(
    "given",
    [
        Answer(200, {}, b"<html>"),
        Answer(204, {}, b""),
        answer({"data": None}),
        answer({"data": {}}),
        answer({"data": {"access_token": 1}}),
        answer([]),
    ],
)
def test_what_no_such_server_says_is_told(given: Answer) -> None:
    """It is another program that answered."""
    server, _, _ = asking(given)
    with pytest.raises(BrokerUnreachable, match="HTVault's way"):
        server.read(PATH, {}, SHOWN)


def test_a_login_is_read_with_and_without_what_may_be_missing() -> None:
    """Policies may be null, the lease's length absent, the value to hand back empty."""
    server, _, _ = asking(
        login(policies=None, metadata={"credkey": "ada", "oauth2_refresh_token": ""}),
        answer({"auth": {"client_token": "t"}}),
    )
    first = server.by_key("auth/ssh", None, {})
    assert (first.policies, first.credkey, first.to_store) == ((), "ada", Secret("x", ""))
    second = server.by_key("auth/ssh", "ada", {})
    assert (second.lasts_seconds, second.credkey, second.to_store) == (None, None, None)


@pytest.mark.parametrize("given", [Answer(204, {}, b""), answer({"auth": None}), answer({})])
def test_what_opens_nothing_is_no_login(given: Answer) -> None:
    """Though the server refuses nothing."""
    server, _, _ = asking(given)
    with pytest.raises(LoginNeeded, match="opens no login"):
        server.by_ticket("auth/kerberos", b"x")


def test_pending_is_told_from_a_refusal_by_the_first_words_alone() -> None:
    """RFC 8628 section 3.5."""
    begun = {"auth_url": "https://x", "user_code": 7, "state": "s", "poll_interval": 0.1}
    server, fake, _ = asking(
        answer({"data": begun}),
        refusal(400, "authorization_pending"),
        refusal(400, "slow_down"),
        refusal(400, "authorization_pending."),
    )
    begun_login = server.begin("auth/oidc-x/oidc", "r", Secret("nonce", "n"), "https://back")
    assert (begun_login.user_code, begun_login.poll_seconds) == ("7", 1.0)
    for slower in (False, True):
        with pytest.raises(StillPending) as pending:
            server.poll("auth/oidc-x/oidc", begun_login)
        assert pending.value.slow_down == slower
    with pytest.raises(NotAllowed):
        server.poll("auth/oidc-x/oidc", begun_login)
    assert json.loads(fake.asked[-1].body) == {"state": "s", "client_nonce": "n"}


def test_the_rest_is_asked_as_htgettoken_asks_it() -> None:
    """Times in seconds with their unit, flags as texts."""
    server, fake, _ = asking(login())
    assert server.shorten(SHOWN, 60, None).reveal() == NEW_VAULT_TOKEN
    assert json.loads(fake.asked[-1].body) == {"ttl": "60s", "renewable": "false"}
    fake.plan("/", answer({"data": {"ttl": 7}}))
    assert server.seconds_left(SHOWN) == 7
    fake.plan("/", Answer(200, {}, b"-a x"))
    assert server.options("/o.txt") == "-a x"
    assert fake.asked[-1].target == "/o.txt"
    fake.plan("/", answer(status=204))
    server.register("auth/ssh", "ada", ["k"], SHOWN)
    server.end(PATH, SHOWN)
    assert [(one.method, one.target[:22]) for one in fake.asked[-2:]] == [
        ("POST", "/v1/auth/ssh/role/ada"),
        ("DELETE", "/v1/secret/oauth/creds"),
    ]


def test_an_empty_secret_garbles_no_refusal() -> None:
    """What a login gives to hand back may be empty."""
    server, _, _ = asking(refusal(400, "no login here"))
    with pytest.raises(NotAllowed, match="no login here"):
        server.store(PATH, "cms", Secret("refresh token", ""), SHOWN)


def test_a_ticket_that_is_echoed_is_not_shown() -> None:
    """Nor pieces of it."""
    ticket = bytes(range(256)) * 4
    shown = base64.b64encode(ticket).decode()
    server, _, _ = asking(refusal(401, f"Negotiate {shown} is not good"))
    with pytest.raises(LeaseUnknown) as refused:
        server.by_ticket("auth/kerberos-cms", ticket)
    assert "Negotiate (not shown) is not good" in refused.value.sentence
