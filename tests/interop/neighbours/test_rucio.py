"""Rucio 41, unmodified: its server takes our tokens, its conveyor gets tokens from us and hands them to FTS.

The settings of both sides are those of docs/neighbours/rucio.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.host.clock import SystemClock
from tests.interop.neighbours.fts import Managed, RestServer, TokenDaemon
from tests.interop.neighbours.inside_rucio import ACCOUNT, DESTINATION, PREFIX, SOURCE
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.pages import communities
from tests.interop.neighbours.rucio import PAGE, Rucio
from tests.interop.neighbours.venvs import venv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

# Installing Rucio counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(480)]

FTS_HOST = "localhost"
WHO, FOR = "openid profile", "rucio"


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up, with FTS as its own page does, and some whom Rucio refuses."""
    dteam = communities(PAGE, {"fts.example.org": FTS_HOST})["dteam"]
    production = dteam["clients"]["production"]
    others = {
        "fts": communities("fts.md")["dteam"]["clients"]["fts"],
        "stranger": production,
        "brief": {**production, "longest_seconds": 1},
        "elsewhere": {**production, "audiences": ["panda"]},
    }
    return open_issuer({**dteam, "clients": {**dteam["clients"], **others}})


@pytest.fixture(scope="module")
def fts(
    issuer: IssuerWorld, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RestServer]:
    """An FTS server's door."""
    server = RestServer(issuer, FTS_HOST).start(authority, tmp_path_factory.mktemp("fts"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def rucio(
    issuer: IssuerWorld, fts: RestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rucio]:
    """Rucio's server, as the page sets it up."""
    rucio = Rucio(tmp_path_factory.mktemp("rucio"), issuer, venv("rucio"), fts.url)
    try:
        rucio.start()
        yield rucio
    finally:
        rucio.close()


@dataclass(frozen=True, slots=True)
class Conveyed:
    """What came of one round of the conveyor: the tokens of the job, and our trail by audience."""

    source: Managed
    destination: Managed
    signed: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def conveyed(rucio: Rucio, issuer: IssuerWorld, fts: RestServer) -> Conveyed:
    """One round of the conveyor, which finds one transfer to submit."""
    before = len(issuer.audit_lines())
    rucio.run("convey")
    assert (len(fts.jobs), fts.refused) == (1, [])
    (file,) = fts.jobs[0]["files"]
    (source,), (destination,) = file["source_tokens"], file["destination_tokens"]
    new = [line for line in issuer.audit_lines()[before:] if line["event"] == "sign"]
    return Conveyed(source, destination, {" ".join(line["audience"]): line for line in new})


def test_the_server_knows_who_shows_our_token(rucio: Rucio, issuer: IssuerWorld) -> None:
    """By its subject and issuer, which an account has for an identity."""
    answer = rucio.whoami(issuer.token("production", WHO, FOR))
    assert (answer.status, answer.json.get("account")) == (200, ACCOUNT), answer


def test_the_command_finds_our_token_in_its_file(
    rucio: Rucio, issuer: IssuerWorld, tmp_path: Path
) -> None:
    """A bare token, as it is delivered to people and jobs."""
    file = tmp_path / "bt"
    file.write_text(issuer.token("production", WHO, FOR))
    assert f"account    : {ACCOUNT}" in rucio.command(file, "whoami")


def test_the_server_refuses_what_was_not_meant_for_it(rucio: Rucio, issuer: IssuerWorld) -> None:
    """Another audience, too few scopes, somebody it has no account for."""
    refused = [
        issuer.token("elsewhere", WHO, "panda"),
        issuer.token("production", "openid", FOR),
        issuer.token("stranger", WHO, FOR),
    ]
    assert [rucio.whoami(token).status for token in refused] == [401] * 3


def test_the_server_refuses_a_token_that_has_ended(rucio: Rucio, issuer: IssuerWorld) -> None:
    """It takes the second of `exp` from the token itself."""
    token = issuer.token("brief", WHO, FOR)
    ends = opened(token)[1]["exp"]
    clock = SystemClock()
    issuer.until(lambda: clock.now().timestamp() > ends, "the token did not end")
    assert rucio.whoami(token).status == 401


def test_the_conveyor_gets_three_tokens_from_us_and_submits_with_them(
    conveyed: Conveyed,
) -> None:
    """One for FTS, one for each end of the transfer; FTS's own checks take all of them."""
    asked = {
        FTS_HOST: "fts",
        SOURCE[1]: f"offline_access storage.read:{PREFIX}",
        DESTINATION[1]: f"offline_access storage.modify:{PREFIX} storage.read:{PREFIX}",
    }
    signed = {audience: words(line["scope"]) for audience, line in conveyed.signed.items()}
    assert signed == {audience: words(scope) for audience, scope in asked.items()}
    for token, (_, audience) in ((conveyed.source, SOURCE), (conveyed.destination, DESTINATION)):
        assert (token.audience, words(token.scope)) == (audience, words(asked[audience]))
        assert opened(token.value)[1]["jti"] == conveyed.signed[audience]["jti"]


def test_fts_gets_refresh_tokens_for_what_the_conveyor_submitted(
    conveyed: Conveyed, issuer: IssuerWorld
) -> None:
    """A transfer that waits longer than its tokens live starts all the same."""
    daemon = TokenDaemon(issuer, "fts")
    for token in (conveyed.source, conveyed.destination):
        fresh, _, _ = daemon.refresh(daemon.exchange(token), token)
        assert opened(fresh)[1]["aud"] == token.audience
        assert "storage.read:" in opened(fresh)[1]["scope"]


def test_a_token_for_storage_outlives_what_rucio_caches(rucio: Rucio, issuer: IssuerWorld) -> None:
    """It puts into memcached only what has more than five minutes left."""
    token = issuer.token("rucio", f"storage.modify:{PREFIX} storage.read:{PREFIX}", SOURCE[1])
    claims = opened(token)[1]
    assert claims["exp"] - claims["iat"] > 300


def test_the_same_question_about_reading_gets_the_same_token_and_one_about_writing_does_not(
    issuer: IssuerWorld,
) -> None:
    """Without memcached Rucio asks once for each file."""
    read, modify = f"storage.read:{PREFIX}", f"storage.modify:{PREFIX}"
    assert len({issuer.token("rucio", read, DESTINATION[1]) for _ in range(3)}) == 1
    assert len({issuer.token("rucio", modify, DESTINATION[1]) for _ in range(3)}) == 3


def test_with_a_wrong_secret_the_conveyor_goes_without_a_token(
    rucio: Rucio, issuer: IssuerWorld
) -> None:
    """It is told, and writes null where a token should be; with the right one there is a token."""
    asked = (SOURCE[1], f"storage.read:{PREFIX}")
    assert rucio.token_with_secret("none of ours", *asked) is None
    assert opened(rucio.token_with_secret(issuer.secrets["rucio"], *asked))[1]["aud"] == SOURCE[1]


def words(scope: str | list[str]) -> set[str]:
    """Return the scopes of a request, whose order says nothing."""
    return set(scope.split() if isinstance(scope, str) else scope)
