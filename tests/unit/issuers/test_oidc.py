"""What goes out to an issuer, letter by letter; what comes back is in the contract."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import IssuerUnreachable, NoRevocation
from credbroker.domain.rotation import NotActedOn, Renewed, Unclear, UnclearRule
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.secret import Secret
from credbroker.issuers.oidc import Dialect, OidcIssuer
from credbroker.ports import NoAnswerError, NotSentError
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor, Reply, Sent, answer
from tests.unit.issuers.test_metadata import URL, document

REFRESH = Secret("refresh token", "refresh-1")
READ = Right(ScopeSet.parse("storage.read:/a"), ("https://1.test", "https://2.test"))


class Issuer:
    """An issuer that answers every post with a token."""

    def __init__(self, **metadata: Any) -> None:
        self.door = FakeDoor(self.reply)
        self.metadata = metadata
        self.hooks = 0

    def reply(self, sent: Sent) -> Reply:
        known = sent.url.endswith("openid-configuration")
        return answer(200, document(**self.metadata) if known else {"access_token": "a"})

    def client(self, clock: FakeClock, **changes: Any) -> OidcIssuer:
        """Return the broker's side, speaking a dialect."""
        usual: dict[str, Any] = {
            "url": URL,
            "client_id": "broker:1",
            "client_secret": Secret("client secret", "s3cret/+ word"),
            "audience_parameter": "audience",
            "unclear_rule": UnclearRule.ASK,
            "seconds": 30.0,
            "refresh_seconds": 120.0,
        }
        return OidcIssuer(Dialect(**usual | changes), self.door, clock)

    async def hook(self) -> None:
        """Count."""
        self.hooks += 1

    def form(self) -> dict[str, list[str]]:
        """Return the last form that was posted."""
        return parse_qs((self.door.sent[-1].body or b"").decode(), strict_parsing=True)


async def test_a_refresh_asks_for_the_right_and_nothing_more(clock: FakeClock) -> None:
    """Incident 30: `offline_access` and `openid` are not asked for again."""
    issuer = Issuer()
    assert isinstance(await issuer.client(clock).refresh(REFRESH, READ, issuer.hook), Renewed)
    assert issuer.form() == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["refresh-1"],
        "scope": ["storage.read:/a"],
        "audience": ["https://1.test https://2.test"],
    }
    assert issuer.hooks == 1


async def test_resources_are_named_one_by_one(clock: FakeClock) -> None:
    """Incident 28: RFC 8707 section 2 has a field for each."""
    issuer = Issuer()
    await issuer.client(clock, audience_parameter="resource").refresh(REFRESH, READ, issuer.hook)
    assert issuer.form()["resource"] == ["https://1.test", "https://2.test"]


@pytest.mark.parametrize("dialect", ["audience", "resource"])
async def test_the_issuers_own_choice_is_asked_for_by_silence(
    clock: FakeClock, dialect: str
) -> None:
    """Incident 29: no audience is named where none is wanted, whatever was wanted before."""
    issuer = Issuer()
    client = issuer.client(clock, audience_parameter=dialect)
    await client.refresh(REFRESH, READ, issuer.hook)
    await client.refresh(REFRESH, Right(ScopeSet()), issuer.hook)
    assert issuer.form().keys() == {"grant_type", "refresh_token"}


async def test_the_client_proves_itself_in_the_header_only(clock: FakeClock) -> None:
    """RFC 6749 section 2.3.1: both halves are form-encoded first; the secret is in no body or URL."""
    issuer = Issuer()
    await issuer.client(clock).refresh(REFRESH, READ, issuer.hook)
    sent = issuer.door.sent[-1]
    pair = base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(half) for half in pair.split(":")] == ["broker:1", "s3cret/+ word"]
    assert b"cret" not in (sent.body or b"")
    assert "client_id" not in issuer.form()


async def test_a_public_client_names_itself_in_the_form(clock: FakeClock) -> None:
    """RFC 6749 section 3.2.1."""
    issuer = Issuer()
    await issuer.client(clock, client_secret=None).refresh(REFRESH, READ, issuer.hook)
    assert "Authorization" not in issuer.door.sent[-1].headers
    assert issuer.form()["client_id"] == ["broker:1"]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (NoAnswerError(), Unclear),
        (answer(500), Unclear),
        (answer(307), NotActedOn),
        (answer(429), NotActedOn),
    ],
)
async def test_a_refresh_is_posted_once_whatever_the_answer(
    clock: FakeClock, reply: Reply, outcome: type
) -> None:
    """Promise 3: what follows is somebody else's decision."""
    issuer = Issuer()
    issuer.door.reply_next(reply, to="token")
    assert isinstance(await issuer.client(clock).refresh(REFRESH, READ, issuer.hook), outcome)
    assert issuer.door.urls() == [f"{URL}.well-known/openid-configuration", f"{URL}token"]


@pytest.mark.parametrize("to", ["token", "openid-configuration"])
async def test_a_refresh_that_was_not_sent_is_an_error_and_no_outcome(
    clock: FakeClock, to: str
) -> None:
    """The claim can be given back."""
    issuer = Issuer()
    issuer.door.reply_next(NotSentError(), to=to)
    with pytest.raises(IssuerUnreachable):
        await issuer.client(clock).refresh(REFRESH, READ, issuer.hook)


async def test_a_hook_that_fails_stops_the_refresh(clock: FakeClock) -> None:
    """Its error passes through, and no token was shown to anybody."""
    issuer = Issuer()

    async def fail() -> None:
        raise KeyError("claim")

    with pytest.raises(KeyError):
        await issuer.client(clock).refresh(REFRESH, READ, fail)
    assert len(issuer.door.sent) == 1


async def test_an_issuer_without_revocation_says_so(clock: FakeClock) -> None:
    """A logout must not claim what did not happen."""
    issuer = Issuer(revocation_endpoint=None)
    with pytest.raises(NoRevocation):
        await issuer.client(clock).revoke(REFRESH)


async def test_a_claim_outlasts_the_issuers_time(clock: FakeClock) -> None:
    """By the time it takes to store, and some more."""
    client = Issuer().client(clock, refresh_seconds=120.0)
    assert client.claim_seconds == 180
    assert (client.url, client.client_id, client.unclear_rule) == (URL, "broker:1", UnclearRule.ASK)
