"""What goes out to an issuer, letter by letter; what comes back is in the contract."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from joserfc.jwk import ECKey

from credbroker.domain.attenuation import Right
from credbroker.domain.errors import (
    ClientRejected,
    IssuerFailed,
    IssuerMisbehaved,
    IssuerUnreachable,
    NoRevocation,
)
from credbroker.domain.outcomes import NotActedOn, Renewed, Unclear
from credbroker.domain.rotation import Rule, UnclearRule
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
            "rule": None,
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
    assert isinstance(
        await issuer.client(clock).refresh(REFRESH, READ, issuer.hook, seconds=90.0), Renewed
    )
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
    await issuer.client(clock, audience_parameter="resource").refresh(
        REFRESH, READ, issuer.hook, seconds=90.0
    )
    assert issuer.form()["resource"] == ["https://1.test", "https://2.test"]


@pytest.mark.parametrize("dialect", ["audience", "resource"])
async def test_the_issuers_own_choice_is_asked_for_by_silence(
    clock: FakeClock, dialect: str
) -> None:
    """Incident 29: no audience is named where none is wanted, whatever was wanted before."""
    issuer = Issuer()
    client = issuer.client(clock, audience_parameter=dialect)
    await client.refresh(REFRESH, READ, issuer.hook, seconds=90.0)
    await client.refresh(REFRESH, Right(ScopeSet()), issuer.hook, seconds=90.0)
    assert issuer.form().keys() == {"grant_type", "refresh_token"}


async def test_the_client_proves_itself_in_the_header_only(clock: FakeClock) -> None:
    """RFC 6749 section 2.3.1: both halves are form-encoded first; the secret is in no body or URL."""
    issuer = Issuer()
    await issuer.client(clock).refresh(REFRESH, READ, issuer.hook, seconds=90.0)
    sent = issuer.door.sent[-1]
    pair = base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(half) for half in pair.split(":")] == ["broker:1", "s3cret/+ word"]
    assert b"cret" not in (sent.body or b"")
    assert "client_id" not in issuer.form()


async def test_a_public_client_names_itself_in_the_form(clock: FakeClock) -> None:
    """RFC 6749 section 3.2.1."""
    issuer = Issuer()
    await issuer.client(clock, client_secret=None).refresh(REFRESH, READ, issuer.hook, seconds=90.0)
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
    assert isinstance(
        await issuer.client(clock).refresh(REFRESH, READ, issuer.hook, seconds=90.0), outcome
    )
    assert issuer.door.urls() == [f"{URL}.well-known/openid-configuration", f"{URL}token"]


@pytest.mark.parametrize("to", ["token", "openid-configuration"])
async def test_a_refresh_that_was_not_sent_is_an_error_and_no_outcome(
    clock: FakeClock, to: str
) -> None:
    """The claim can be given back."""
    issuer = Issuer()
    issuer.door.reply_next(NotSentError(), to=to)
    with pytest.raises(IssuerUnreachable):
        await issuer.client(clock).refresh(REFRESH, READ, issuer.hook, seconds=90.0)


async def test_a_hook_that_fails_stops_the_refresh(clock: FakeClock) -> None:
    """Its error passes through, and no token was shown to anybody."""
    issuer = Issuer()

    async def fail() -> None:
        raise KeyError("claim")

    with pytest.raises(KeyError):
        await issuer.client(clock).refresh(REFRESH, READ, fail, seconds=90.0)
    assert len(issuer.door.sent) == 1


async def test_an_issuer_without_revocation_says_so(clock: FakeClock) -> None:
    """A logout must not claim what did not happen."""
    issuer = Issuer(revocation_endpoint=None)
    with pytest.raises(NoRevocation):
        await issuer.client(clock).revoke(REFRESH)


@pytest.mark.parametrize("rule", [None, Rule(UnclearRule.GRACE, 30.0)])
def test_the_issuer_says_what_is_known_of_it(clock: FakeClock, rule: Rule | None) -> None:
    """Address, client, the operator's rule if there is one, and the time a refresh may take."""
    client = Issuer().client(clock, rule=rule, refresh_seconds=40.0, revoke_replaced=False)
    assert (client.url, client.client_id) == (URL, "broker:1")
    assert (client.rule, client.refresh_seconds) == (rule, 40.0)
    assert not client.revoke_replaced


@pytest.mark.parametrize("header", ["90", "Mon, 01 Jun 2026 12:01:30 GMT"])
async def test_an_issuers_wish_to_rest_comes_with_the_outcome(
    clock: FakeClock, header: str
) -> None:
    """By our clock where it names a date."""
    issuer = Issuer()
    issuer.door.reply_next(answer(503, retry_after=header), to="token")
    outcome = await issuer.client(clock).refresh(REFRESH, READ, issuer.hook, seconds=90.0)
    assert isinstance(outcome, Unclear)
    assert outcome.retry_after_seconds == 90.0


# Probes

KEYS_URL = "https://keys.test/jwk"
REFUSAL = answer(400, {"error": "invalid_grant"})


async def test_a_probe_fetches_the_keys_afresh_and_posts_a_made_up_token(clock: FakeClock) -> None:
    """By our client, for nothing in particular, on behalf of nobody."""
    issuer = Issuer()
    client = issuer.client(clock)
    for _ in range(2):
        issuer.door.reply_next(answer(200, {"keys": []}), to=KEYS_URL)
        issuer.door.reply_next(REFUSAL, to="token")
        await client.probe()
    assert issuer.door.urls()[1:] == [KEYS_URL, f"{URL}token"] * 2
    assert issuer.form().keys() == {"grant_type", "refresh_token"}
    assert issuer.form()["refresh_token"] != ["refresh-1"]
    assert issuer.door.sent[-1].headers["Authorization"].startswith("Basic ")


async def test_a_probe_does_not_fail_on_keys_while_good_ones_are_held(clock: FakeClock) -> None:
    """Where they are published is another host, and refreshes work without it for days."""
    issuer = Issuer()
    client = issuer.client(clock)
    key = ECKey.generate_key("P-256", {"kid": "one"}).as_dict(private=False)
    for keys in (answer(200, {"keys": [key]}), NoAnswerError(), answer(503), answer(200)):
        issuer.door.reply_next(keys, to=KEYS_URL)
        issuer.door.reply_next(REFUSAL, to="token")
        await client.probe()


@pytest.mark.parametrize(
    ("to", "reply", "kind"),
    [
        ("openid-configuration", NotSentError(), IssuerUnreachable),
        ("openid-configuration", answer(200, {"issuer": URL}), IssuerFailed),
        ("openid-configuration", answer(403, {"error": "access_denied"}), IssuerFailed),
        (KEYS_URL, NoAnswerError(), IssuerUnreachable),
        (KEYS_URL, answer(502), IssuerUnreachable),
        (KEYS_URL, answer(200), IssuerFailed),
        ("token", NotSentError(), IssuerUnreachable),
        ("token", NoAnswerError(), IssuerUnreachable),
        ("token", answer(500, {"error": "server_error"}), IssuerFailed),
        ("token", answer(200, {"access_token": "a"}), IssuerFailed),
        ("token", answer(401, {"error": "invalid_client"}), ClientRejected),
    ],
)
async def test_a_probe_fails_by_whose_trouble_it_is(
    clock: FakeClock, to: str, reply: Reply, kind: type[Exception]
) -> None:
    """Nobody there, the issuer itself, or our client."""
    issuer = Issuer()
    for place, fitting in [
        (to, reply),
        (KEYS_URL, answer(200, {"keys": []})),
        ("token", REFUSAL),
    ]:
        issuer.door.reply_next(fitting, to=place)
    with pytest.raises(kind):
        await issuer.client(clock).probe()


async def test_an_exchange_shows_an_access_token_and_asks_for_the_right(clock: FakeClock) -> None:
    """RFC 8693 section 2.1: both types are named, and a scope always, as INDIGO IAM demands one."""
    issuer, kind = Issuer(), "urn:ietf:params:oauth:token-type:access_token"
    client = issuer.client(clock, exchanges=True)
    assert client.exchanges
    assert isinstance(await client.exchange(Secret("access token", "access-1"), READ), Renewed)
    assert issuer.form() == {
        "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "subject_token": ["access-1"],
        "subject_token_type": [kind],
        "requested_token_type": [kind],
        "scope": ["storage.read:/a"],
        "audience": ["https://1.test https://2.test"],
    }
    by_resource = issuer.client(clock, audience_parameter="resource")
    await by_resource.exchange(Secret("access token", "access-1"), READ)
    assert issuer.form()["resource"] == list(READ.audiences)


async def test_what_an_issuer_says_of_a_person_is_asked_with_their_token(clock: FakeClock) -> None:
    """OpenID Connect Core section 5.3: three claims are read, and no others."""
    said = {"sub": "ada", "email": "ada@example.org", "email_verified": True, "phone": "1"}
    issuer = Issuer(userinfo_endpoint=f"{URL}userinfo")
    issuer.door.reply_next(answer(200, said), to="userinfo")
    token = Secret("access token", "access-1")
    found = await issuer.client(clock).userinfo(token, seconds=2.0)
    assert found == {"sub": "ada", "email": "ada@example.org", "email_verified": True}
    assert issuer.door.sent[-1].headers["Authorization"] == "Bearer access-1"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (NotSentError(), IssuerUnreachable),
        (NoAnswerError(), IssuerUnreachable),
        (answer(200, []), IssuerMisbehaved),
        (answer(302, None, location="https://evil.test/"), IssuerMisbehaved),
    ],
)
async def test_an_issuer_that_says_nothing_of_persons_is_told_as_what_it_is(
    clock: FakeClock, reply: Reply, kind: type[Exception]
) -> None:
    """One without such an address says nothing, and nothing is wrong with it."""
    token = Secret("access token", "access-1")
    assert await Issuer(userinfo_endpoint=None).client(clock).userinfo(token, seconds=2.0) == {}
    issuer = Issuer(userinfo_endpoint=f"{URL}userinfo")
    issuer.door.reply_next(reply, to="userinfo")
    with pytest.raises(kind):
        await issuer.client(clock).userinfo(token, seconds=2.0)
