"""An unmodified ARC CE runs jobs for tokens that our issuer signs, and for no others.

The settings of both sides are those of docs/neighbours/arc-ce.md.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.interop.neighbours import arc
from tests.interop.neighbours.arc import ArcCe, missing_program
from tests.interop.neighbours.pages import communities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credbroker.demo.certificates import Authority
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

CLIENT, BRIEF, OTHER = "harvester", "brief", "other"
SUBMIT = "compute.read compute.create compute.modify compute.cancel"


@dataclass(frozen=True, slots=True)
class Compute:
    """A CE and the issuer that it trusts."""

    issuer: IssuerWorld
    ce: ArcCe

    def token(self, scope: str = SUBMIT, audience: str = "", client: str = CLIENT) -> str:
        """Return a token for the CE, unless another audience is said."""
        return self.issuer.token(client, scope, audience or self.ce.audience)

    def status(self, token: str | None) -> int:
        """Return what the CE answers to somebody who wants to see their jobs."""
        return self.ce.ask("GET", "/jobs", token).status


def jti_of(token: str) -> str:
    """Return a token's id, as whoever reads it would."""
    return str(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"])


@pytest.fixture(scope="module")
def compute(
    tmp_path_factory: pytest.TempPathFactory, open_issuer: OpenIssuer, authority: Authority
) -> Iterator[Compute]:
    """A CE that runs as docs/neighbours/arc-ce.md says, with two clients more at the issuer."""
    ce = ArcCe(tmp_path_factory.mktemp("arc"), authority)
    try:
        community = communities(arc.PAGE, {"https://ce.example.org": ce.audience})["dteam"]
        clients = community["clients"]
        clients[OTHER] = clients[CLIENT]
        clients[BRIEF] = {**clients[CLIENT], "longest_seconds": 1}
        community["audiences"] = {f"{ce.audience}:443": {"algorithm": "ES256"}}
        issuer = open_issuer(community)
        ce.trust(issuer.url)
        ce.start()
        yield Compute(issuer, ce)
    finally:
        ce.close()


def test_a_job_runs_with_our_token_and_belongs_to_its_subject(compute: Compute) -> None:
    """From the request for a token to the accounting, and from there to the audit trail."""
    ce, token = compute.ce, compute.token()
    job = ce.submit(token, "echo the account is $(id -un)")
    ce.until(lambda: job.encode() in ce.finished(token), "the job has not finished")
    output = ce.ask("GET", f"/jobs/{job}/session/out", token)
    assert output.body == b"the account is nobody\n"
    assert ce.accounted_to(job) == f"{compute.issuer.url}/{CLIENT}"
    (line,) = [one for one in compute.issuer.audit_lines() if one.get("jti") == jti_of(token)]
    assert (line["event"], line["sub"]) == ("sign", CLIENT)


def test_nobody_is_let_in_without_the_right_token(compute: Compute) -> None:
    """Each claim that a line of the CE's settings names is looked at."""
    elsewhere = "https://ce2.example.org"
    assert compute.status(compute.token()) == 200
    assert compute.status(None) == 403
    assert compute.status(compute.token(audience=elsewhere)) == 403
    assert compute.status(compute.token(scope="compute.read compute.cancel")) == 403
    assert compute.status(compute.token(client=OTHER)) == 403


def test_the_first_audience_of_several_decides(compute: Compute) -> None:
    """ARC looks at no other, so the order in which they were asked for is kept."""
    ce, elsewhere = compute.ce.audience, "https://ce2.example.org"
    assert compute.status(compute.token(audience=f"{ce} {elsewhere}")) == 200
    assert compute.status(compute.token(audience=f"{elsewhere} {ce}")) == 403


def test_a_token_signed_with_es256_lets_nobody_in(compute: Compute) -> None:
    """By that name the CE is given ES256 alone, and RS256 where the token has another name as well."""
    named = f"{compute.ce.audience}:443"
    assert compute.status(compute.token(audience=named)) == 403
    assert compute.status(compute.token(audience=f"{named} {compute.ce.audience}")) == 200


def test_an_expired_token_lets_nobody_in(compute: Compute) -> None:
    """However good it was."""
    token = compute.token(client=BRIEF)
    compute.ce.until(lambda: compute.status(token) == 403, "an expired token is let in")


def test_the_ce_asks_the_issuer_each_time(compute: Compute) -> None:
    """A token that was just let in is not while the issuer is away, and is again afterwards."""
    token = compute.token()
    assert compute.status(token) == 200
    with compute.issuer.down():
        assert compute.status(token) == 403
    assert compute.status(token) == 200


@pytest.mark.parametrize("path", [".well-known/openid-configuration", "jwks"])
def test_a_whole_url_in_the_request_line_is_taken_like_its_path(
    compute: Compute, path: str
) -> None:
    """As ARC writes it (RFC 9112 section 3.2.2)."""
    issuer = compute.issuer
    trust = ssl.create_default_context(cafile=str(issuer.ca_file))
    door = http.client.HTTPSConnection("127.0.0.1", issuer.port, context=trust, timeout=10)
    with closing(door):
        door.request("GET", issuer.url + path)
        answer = door.getresponse()
        assert (answer.status, answer.read()) == (200, issuer.ask("GET", path).body)


def test_metadata_always_leads_to_the_keys(compute: Compute) -> None:
    """Without `jwks_uri` ARC's service ends on the spot."""
    metadata = json.loads(compute.issuer.ask("GET", ".well-known/openid-configuration").body)
    assert metadata["jwks_uri"] == f"{compute.issuer.url}jwks"
