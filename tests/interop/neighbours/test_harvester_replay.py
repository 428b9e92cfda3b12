"""Harvester, by replay: it posts a form to `ISSUER/token`, waits three seconds, and knows no discovery.

The settings of both sides are those of docs/neighbours/panda.md.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from credbroker.host.clock import SystemClock
from tests.answers import Answer
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.outage import hanging
from tests.interop.neighbours.pages import block, communities, put

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.demo.openbao import OpenBaoServer
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(120)]

PAGE = "panda.md"
HARVESTER_WAITS = 3.0
PANDA = "https://panda.example.org"
HTCONDOR_CE, AREX = "ce.example.org:9619", "https://arex.example.org"
COMPUTE = "compute.read compute.modify compute.create compute.cancel"
# So long OpenBao is away here: several times as long as it takes to miss it.
AWAY_SECONDS = 15.0


class Harvester:
    """What Harvester sends, from its own file."""

    def __init__(self, settings: dict[str, str], ca_file: Path) -> None:
        """Be a Harvester with these settings."""
        self._settings = settings
        self._trust = ssl.create_default_context(cafile=str(ca_file))

    def post(self, audience: str, scope: str) -> Answer:
        """Ask for a token, for no longer than Harvester waits."""
        where = urlsplit(f"{self._settings['issuer']}/token")
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings["client_id"],
            "client_secret": self._settings["client_secret"],
            "audience": audience,
            "scope": scope,
        }
        door = http.client.HTTPSConnection(
            where.netloc, context=self._trust, timeout=HARVESTER_WAITS
        )
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            door.request("POST", where.path, urlencode(form), kind)
            answered = door.getresponse()
            return Answer(answered.status, dict(answered.headers), answered.read())
        finally:
            door.close()

    def token(self, audience: str, scope: str) -> dict[str, Any]:
        """Return the claims of the token that it gets."""
        answer = self.post(audience, scope)
        assert answer.status == 200, answer
        return opened(answer.json["access_token"])[1]


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up."""
    return open_issuer(communities(PAGE)["dteam"])


def known_as(issuer: IssuerWorld, url: str) -> Harvester:
    """Return Harvester as the page sets it up, with the issuer's URL written so."""
    names = {
        "https://tokens.example.org:8200/dteam": url,
        "what /etc/credbroker/secrets/harvester holds": issuer.secrets["harvester"],
    }
    settings = json.loads(put(block(PAGE, '{\n  "issuer"'), names))
    return Harvester(settings, issuer.ca_file)


@pytest.fixture(scope="module")
def harvester(issuer: IssuerWorld) -> Harvester:
    """Harvester as the page sets it up."""
    return known_as(issuer, issuer.url.rstrip("/"))


@pytest.mark.parametrize("audience", [HTCONDOR_CE, AREX])
def test_a_computing_element_gets_a_token_of_its_own(harvester: Harvester, audience: str) -> None:
    """For it alone, with the four scopes, and for longer than two of Harvester's rounds."""
    claims = harvester.token(audience, COMPUTE)
    assert (claims["aud"], set(claims["scope"].split())) == (audience, set(COMPUTE.split()))
    assert claims["exp"] - claims["iat"] >= 2 * 3600


def test_an_issuer_with_its_slash_is_asked_at_two_slashes_and_answers(issuer: IssuerWorld) -> None:
    """As all others write the issuer; Harvester appends `/token` all the same."""
    assert known_as(issuer, issuer.url).token(HTCONDOR_CE, COMPUTE)["aud"] == HTCONDOR_CE


def test_an_empty_scope_is_none_at_all(harvester: Harvester) -> None:
    """So the token for PanDA's server has the client's default, and no right at a computing element."""
    claims = harvester.token(PANDA, "")
    assert (claims["aud"], claims["scope"]) == (PANDA, "openid")


def test_a_wrong_secret_is_refused_in_a_way_that_harvester_logs(issuer: IssuerWorld) -> None:
    """As RFC 6749 section 5.2 has it; the secret is not repeated."""
    settings = {"issuer": issuer.url, "client_id": "harvester", "client_secret": "not-the-one"}
    answer = Harvester(settings, issuer.ca_file).post(PANDA, "")
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert b"not-the-one" not in answer.body


def test_harvester_is_answered_while_openbao_hangs(
    issuer: IssuerWorld, harvester: Harvester, shared_openbao: OpenBaoServer
) -> None:
    """Each time anew and inside its three seconds; keys, clients and revocations are in memory."""
    clock = SystemClock()
    answers: list[Answer] = []
    with hanging(shared_openbao):
        ends = clock.elapsed() + AWAY_SECONDS
        while clock.elapsed() < ends:
            answers.append(harvester.post(HTCONDOR_CE, COMPUTE))
            clock.block(0.2)
    assert {answer.status for answer in answers} == {200}
    tokens = [answer.json["access_token"] for answer in answers]
    assert len({opened(token)[1]["jti"] for token in tokens}) == len(tokens)
    audited = {line["sha256"] for line in issuer.audit_lines() if line["event"] == "sign"}
    assert {hashlib.sha256(token.encode()).hexdigest() for token in tokens} <= audited
