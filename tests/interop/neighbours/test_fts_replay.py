"""FTS 3.14, by replay: its requests byte by byte, its checks of what is answered.

The settings of both sides are those of docs/neighbours/fts.md.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.interop.neighbours.fts import Managed, Refused, TokenDaemon, checked
from tests.interop.neighbours.issuer_world import STEP_SECONDS, opened
from tests.interop.neighbours.outage import hanging
from tests.interop.neighbours.pages import block, communities

if TYPE_CHECKING:
    from credbroker.demo.openbao import OpenBaoServer
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(120)]

PAGE = "fts.md"
PROVIDER = json.loads(block(PAGE, '{\n  "name"'))
FTS, RUCIO, HASTY = PROVIDER["client_id"], "rucio", "hasty"
SCOPE = "offline_access storage.modify:/dteam/ storage.read:/dteam/"
AUDIENCE = "se1.example.org"
REFRESH_BEFORE_SECONDS = 300
AWAY_SECONDS = 4.0
ROUND = 200


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up, and with an FTS that does not wait."""
    dteam = communities(PAGE)[PROVIDER["name"]]
    hasty = {**dteam["clients"][FTS], "answer_seconds": 1.0}
    return open_issuer({**dteam, "clients": {**dteam["clients"], HASTY: hasty}})


@pytest.fixture(scope="module")
def fts(issuer: IssuerWorld) -> TokenDaemon:
    """FTS's token daemon."""
    return TokenDaemon(issuer, FTS)


def submitted(issuer: IssuerWorld, scope: str = SCOPE, audience: str = AUDIENCE) -> Managed:
    """Return a token as Rucio submits it, which FTS's REST server has looked at."""
    return checked(issuer.token(RUCIO, scope, audience), issuer.jwks(), issuer.url)


def test_the_provider_of_the_page_is_the_issuer_of_the_page() -> None:
    """Both sides write the same issuer, with its final slash."""
    assert PROVIDER["issuer"] == communities(PAGE)[PROVIDER["name"]]["url"]
    assert PROVIDER["issuer"].endswith("/")


def test_a_token_of_a_job_becomes_a_refresh_token_and_that_a_fresh_one(
    issuer: IssuerWorld, fts: TokenDaemon
) -> None:
    """What is named with spaces and slashes in it arrives; the fresh token is for the same."""
    token = submitted(issuer)
    refresh_token = fts.exchange(token)
    assert set(refresh_token) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    )
    fresh, seconds, _ = fts.refresh(refresh_token, token)
    kept = checked(fresh, issuer.jwks(), issuer.url)
    assert set(kept.scope.split()) - {"offline_access"} == set(SCOPE.split()) - {"offline_access"}
    assert kept.audience == AUDIENCE
    assert seconds > REFRESH_BEFORE_SECONDS
    assert opened(fresh)[1]["sub"] == opened(token.value)[1]["sub"]
    assert opened(fresh)[1]["jti"] != opened(token.value)[1]["jti"]


def test_several_audiences_survive_their_spaces(issuer: IssuerWorld, fts: TokenDaemon) -> None:
    """A storage element with two doors: FTS joins their names by a space, and sends that as it is."""
    both = "se1.example.org se2.example.org"
    token = submitted(issuer, audience=both)
    assert token.audience == both
    fresh, _, _ = fts.refresh(fts.exchange(token), token)
    assert opened(fresh)[1]["aud"] == both.split()


def test_the_first_refresh_token_stays_good(issuer: IssuerWorld, fts: TokenDaemon) -> None:
    """Whether FTS keeps the one it has or takes the one in the answer, it goes on."""
    token = submitted(issuer)
    first = fts.exchange(token)
    following = [fts.refresh(first, token)[2] for _ in range(3)]
    assert following == [first] * 3


def test_an_exchange_whose_answer_was_lost_is_sent_again_and_gives_the_same(
    issuer: IssuerWorld, fts: TokenDaemon
) -> None:
    """A second one would be a right that nobody knows of."""
    token = submitted(issuer)
    assert fts.exchange(token) == fts.exchange(token)


def test_of_a_whole_round_of_exchanges_none_fails(issuer: IssuerWorld, fts: TokenDaemon) -> None:
    """FTS takes them up in hundreds, several at once; each file has a refresh token of its own."""
    jwks = issuer.jwks()
    scopes = [f"offline_access storage.read:/dteam/raw/{number}" for number in range(ROUND)]
    with ThreadPoolExecutor(10) as beside:
        values = beside.map(lambda scope: issuer.token(RUCIO, scope, AUDIENCE), scopes)
        tokens = [checked(value, jwks, issuer.url) for value in values]
        assert len(set(beside.map(fts.exchange, tokens))) == ROUND


def test_an_exchange_waits_for_openbao_rather_than_fail(
    issuer: IssuerWorld, fts: TokenDaemon, shared_openbao: OpenBaoServer
) -> None:
    """One failure would fail every transfer that waits for the token; the page gives FTS 20 s."""
    token = submitted(issuer)
    with ThreadPoolExecutor(1) as beside:
        with hanging(shared_openbao):
            exchanging = beside.submit(fts.exchange, token)
            with pytest.raises(TimeoutError):
                exchanging.result(AWAY_SECONDS)
        refresh_token = exchanging.result(STEP_SECONDS)
    assert fts.refresh(refresh_token, token)[0]
    assert fts.exchange(token) == refresh_token


def test_who_does_not_wait_is_told_when_to_come_back_and_then_gets_it(
    issuer: IssuerWorld, shared_openbao: OpenBaoServer
) -> None:
    """As long as the settings say for the client, then 503 with Retry-After (RFC 9110 section 10.2.3)."""
    token = submitted(issuer)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": token.value,
    }
    with hanging(shared_openbao):
        told = issuer.post("token", HASTY, **form)
    assert (told.status, told.json["error"]) == (503, "temporarily_unavailable")
    assert int(told.headers["Retry-After"]) > 0
    issuer.until(lambda: issuer.post("token", HASTY, **form).status == 200, "it stayed away")


def test_the_slash_at_the_issuers_end_may_be_doubled(issuer: IssuerWorld) -> None:
    """Older releases of FTS append one of their own."""
    older = TokenDaemon(issuer, FTS, issuer.url + "/")
    token = submitted(issuer)
    assert older.refresh(older.exchange(token), token)[0]


def test_a_token_that_may_not_last_is_refused_with_both_words(
    issuer: IssuerWorld, fts: TokenDaemon
) -> None:
    """They become the failure message of each transfer; the token is not in them."""
    token = submitted(issuer, scope="storage.read:/dteam/")
    with pytest.raises(Refused, match=r"^\[invalid_\w+\]: .{10}") as refused:
        fts.exchange(token)
    assert token.value not in str(refused.value)


def test_no_more_is_given_than_the_token_of_the_job_had(
    issuer: IssuerWorld, fts: TokenDaemon
) -> None:
    """Neither another path, nor another storage."""
    token = submitted(issuer, scope="offline_access storage.read:/dteam/one")
    wider = Managed(token.value, "offline_access storage.read:/dteam", token.audience)
    elsewhere = Managed(token.value, token.scope, "se2.example.org")
    for asked in (wider, elsewhere):
        with pytest.raises(Refused, match=r"^\[invalid_\w+\]: "):
            fts.exchange(asked)


def test_the_refresh_token_of_fts_is_of_no_use_to_who_submitted(
    issuer: IssuerWorld, fts: TokenDaemon
) -> None:
    """It is bound to the client that exchanged (RFC 6749 section 6)."""
    token = submitted(issuer)
    refresh_token = fts.exchange(token)
    with pytest.raises(Refused, match=r"^\[(invalid_grant|unauthorized_client)\]: "):
        TokenDaemon(issuer, RUCIO).refresh(refresh_token, token)


def test_the_audit_trail_names_tokens_as_fts_does(issuer: IssuerWorld, fts: TokenDaemon) -> None:
    """From a `token_id` in its log one finds who had the token."""
    token = submitted(issuer)
    fresh, _, _ = fts.refresh(fts.exchange(token), token)
    signed = {line["jti"]: line for line in issuer.audit_lines() if line["event"] == "sign"}
    line = signed[opened(fresh)[1]["jti"]]
    assert line["fts_id"] == fts_id(fresh)
    assert signed[opened(token.value)[1]["jti"]]["fts_id"] == fts_id(token.value)


def test_neither_trail_nor_log_holds_a_token(issuer: IssuerWorld, fts: TokenDaemon) -> None:
    """Of those that were submitted, refreshed or kept for refreshing."""
    token = submitted(issuer)
    refresh_token = fts.exchange(token)
    fresh, _, _ = fts.refresh(refresh_token, token)
    written = issuer.log_file.read_text() + json.dumps(issuer.audit_lines())
    assert issuer.url in written
    for secret in (token.value, fresh, refresh_token):
        assert secret not in written
        assert secret.rpartition(".")[2] not in written


def fts_id(token: str) -> str:
    """Return how FTS names a token."""
    return hashlib.sha1(token.encode()).hexdigest()[:16]
