"""A whole broker, its commands and its agent do their work with an issuer nobody here wrote.

All people share one broker and one issuer. Alice is logged in for every test that leaves her so;
whoever logs out has a login of their own. After each test, all that was printed and written is
searched for every refresh token that was ever seen in OpenBao.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from credbroker.client.address import parse_address
from credbroker.client.blocking import Door
from credbroker.client.broker import Broker, Send
from credbroker.domain.grants import GrantState
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.native import AskLease, AskToken, StartLogin
from tests.interop.bare_client import BareClient, bare_client
from tests.interop.home import Home
from tests.interop.person import Person
from tests.interop.provider_server import RefreshPost
from tests.interop.site import COMPUTE, STORAGE, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from credbroker.client.http11 import Answer, Request
    from credbroker.domain.grants import Grant
    from credbroker.domain.secret import Secret
    from tests.canaries import Canaries

# Installing the issuer counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

RIGHTS = "storage.read:/ compute.read"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(site: Site) -> Home:
    """Somebody who is logged in, and stays so."""
    home = Home(site, "alice")
    await home.log_in()
    return home


@pytest.fixture
async def issuer(site: Site) -> AsyncIterator[BareClient]:
    """A way to ask the issuer itself."""
    async with bare_client(site.provider) as client:
        yield client


@pytest.fixture(autouse=True)
def look_around(site: Site, canaries: Canaries) -> Iterator[None]:
    """Search all that was printed and written for what only issuer, broker and OpenBao may know."""
    yield
    canaries.plant("client secret", site.client_secret_file.read_text())
    for value in site.refresh_tokens:
        canaries.plant("refresh token", value)
    for where, said in site.heard:
        canaries.search_text(where, said)
    canaries.search_folder(site.folder, except_for=[site.client_secret_file])
    canaries.search_text("the issuer's log", site.provider.log_file.read_bytes())
    canaries.search_arguments(site.pids)


def used(grant: Grant) -> RefreshPost:
    """Return what the issuer's log says when this grant's refresh token was used with success."""
    return RefreshPost(200, refresh_token_of(grant).fingerprint())


def refresh_token_of(grant: Grant) -> Secret:
    """Return the refresh token of a grant that has one."""
    assert grant.refresh_token is not None
    return grant.refresh_token


def rights(claims: dict[str, Any]) -> tuple[str, str]:
    """Return what a token is good for, and where."""
    return claims["scope"], claims["aud"]


def test_a_login_leaves_a_lease_at_home_and_the_refresh_token_in_openbao(
    alice: Home, site: Site
) -> None:
    """The command says who logged in; the grant is hers, for what the issuer says it granted."""
    said = site.log("login of alice").read_text()
    assert "Logged in to foreign as alice in the role physics" in said
    assert stat.S_IMODE(alice.lease_file.stat().st_mode) == 0o600
    assert (alice.grant.subject, alice.grant.issuer_url) == ("alice", site.provider.url)
    assert (str(alice.grant.scopes), alice.grant.state) == (RIGHTS, GrantState.READY)


@pytest.mark.parametrize("audience", [STORAGE, COMPUTE])
async def test_a_token_is_written_that_verifies_and_is_for_the_audience_asked(
    alice: Home, site: Site, issuer: BareClient, audience: str
) -> None:
    """Its signature is by a key the issuer publishes; nobody else can read the file."""
    _, claims = await issuer.claims(alice.fetch(audience))
    assert (claims["iss"], claims["sub"]) == (site.provider.url, "alice")
    assert rights(claims) == (RIGHTS, audience)
    assert stat.S_IMODE(alice.token_file.stat().st_mode) == 0o600


def test_each_refresh_token_is_used_once_and_its_successor_next(alice: Home, site: Site) -> None:
    """The issuer's log has one refresh for each generation, with the value OpenBao had then."""
    first, earlier = alice.rest(), len(site.provider.refreshes())
    seen = [used(first)]
    for _ in range(4):
        alice.renew()
        seen.append(used(alice.rest()))
    made = alice.grant.generation - first.generation
    posts = site.provider.refreshes()[earlier:]
    assert {post.status for post in posts} == {200}
    assert made == len(posts) == len(set(posts))
    assert [post for post in posts if post in seen] == seen[:-1]


def test_a_killed_broker_goes_on_where_it_was(alice: Home, site: Site) -> None:
    """While it is away the file stays; then the refresh token that OpenBao has is used, once."""
    value = alice.fetch(STORAGE)
    before, earlier = alice.rest(), len(site.provider.refreshes())
    site.kill_broker()
    try:
        said = alice.run("token", "--minimum", "1", "--audience", STORAGE)
    finally:
        site.start_broker()
    assert (said.code, "cannot be reached" in said.err) == (3, True)
    assert alice.token_file.read_text().strip() == value
    alice.renew()
    assert site.provider.refreshes()[earlier] == used(before)


async def test_an_agent_keeps_a_job_s_file_fresh_with_the_job_s_right_alone(
    alice: Home, site: Site, issuer: BareClient
) -> None:
    """Two tokens in a row hold one scope of two, for one audience of two."""
    lease, token_file = alice.folder / "lease.json", alice.folder / "bearer_token"
    made = alice.run(
        "job", "new", "--job", "run 1", "--scope", "compute.read", "--audience", COMPUTE,
        "--for", "1h", "--out", str(lease),
    )  # fmt: skip
    assert made.code == 0, made.err
    agent = alice.start("agent", "agent", "--job", str(lease), "--token-file", str(token_file))
    try:
        values = [site.until(lambda: text(token_file), "the agent wrote no token")]
        values.append(
            site.until(lambda: text(token_file, but=values[0]), "the agent renewed no token")
        )
    finally:
        agent.terminate()
        assert agent.wait(10) == 0
    for value in values:
        _, claims = await issuer.claims(value)
        assert rights(claims) == ("compute.read", COMPUTE)


def text(path: Path, but: str = "") -> str:
    """Return what a file holds, or nothing while it is not there or holds what it held before."""
    found = path.read_text() if path.exists() else ""
    return "" if found == but else found


@pytest.mark.parametrize(
    ("wish", "outside"),
    [
        (("--audience", "https://elsewhere.example"), "outside the role"),
        (("--audience", STORAGE, "--scope", "storage.modify:/user"), "Outside the grant"),
    ],
)
def test_more_than_role_and_grant_allow_is_refused_without_asking_the_issuer(
    alice: Home, site: Site, wish: tuple[str, ...], outside: str
) -> None:
    """An unknown audience would have cost the refresh token at this issuer."""
    alice.rest()
    earlier = site.provider.requests()
    said = alice.run("token", *wish)
    assert (said.code, outside in said.err) == (5, True)
    assert site.provider.requests() == earlier


def test_a_scope_that_the_issuer_refuses_costs_nothing(alice: Home, site: Site) -> None:
    """The person is told, and the same refresh token serves the next wish."""
    before, earlier = alice.rest(), len(site.provider.refreshes())
    said = alice.run("token", "--scope", "storage.read:/user", "--audience", STORAGE)
    assert (said.code, "The issuer refuses this scope" in said.err) == (5, True)
    assert (alice.grant.refresh_token, alice.grant.state) == (
        before.refresh_token,
        GrantState.READY,
    )
    alice.renew()
    refused = used(before).fingerprint
    posts = site.provider.refreshes()[earlier : earlier + 2]
    assert posts == [RefreshPost(400, refused), RefreshPost(200, refused)]


def test_a_token_for_fewer_audiences_than_asked_is_not_handed_out(alice: Home, site: Site) -> None:
    """This issuer answers for one of two; the file stays, and so does the login."""
    value = alice.fetch(STORAGE)
    before, earlier = alice.rest(), len(site.provider.refreshes())
    said = alice.run("token", "--minimum", "1", "--audience", STORAGE, "--audience", COMPUTE)
    assert (said.code, "for another audience" in said.err) == (3, True)
    assert alice.token_file.read_text().strip() == value
    # One use for what was asked; where the machine is slow, what was fetched before is renewed after it.
    assert site.provider.refreshes()[earlier:][:1] == [used(before)]
    alice.renew()


def test_a_wrong_client_secret_is_said_and_keeps_the_login(alice: Home, site: Site) -> None:
    """The grant is as it was, and works once the operator has put the secret right."""
    with site.client_secret("not the client's secret"):
        before = alice.grant
        said = alice.run("token", "--minimum", "1", "--audience", STORAGE)
    assert (said.code, "does not accept the broker's client id or secret" in said.err) == (2, True)
    kept = alice.grant
    assert (kept.refresh_token, kept.state) == (before.refresh_token, GrantState.READY)
    alice.renew()


async def test_a_logout_revokes_at_the_issuer_and_leaves_nothing_behind(
    site: Site, issuer: BareClient
) -> None:
    """The refresh token is dead, OpenBao has a tombstone, and the home has neither lease nor token."""
    bob = Home(site, "bob")
    await bob.log_in()
    bob.fetch(STORAGE)
    value = refresh_token_of(bob.grant).reveal()
    assert await issuer.is_active(value)
    said = bob.run("logout")
    assert (said.code, "Logged out of foreign" in said.err) == (0, True)
    assert "POST /token/revocation 200" in site.provider.requests()
    assert not await issuer.is_active(value)
    status, answer = await issuer.refresh(value)
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (bob.grant.refresh_token, bob.grant.state) == (None, GrantState.ENDED)
    assert not bob.lease_file.exists()
    assert not bob.token_file.exists()
    assert bob.run("token").code == 4


async def test_no_answer_of_the_broker_holds_a_refresh_token(
    site: Site, canaries: Canaries
) -> None:
    """Neither at login nor for a token, a job's lease, a look at the grant, or a logout."""
    broker = Broker(recorded(site, canaries), SystemClock(), SystemEntropy())
    login = broker.start_login(StartLogin("foreign"))
    async with Person("carol", site.ca_file) as carol:
        await carol.log_in(str(login.verification_uri_complete))
    mine = broker.under(login.login_token)
    assert mine.poll_login().credkey == "carol"
    generations = [site.grant("carol").generation]
    for audience in (STORAGE, COMPUTE):
        mine.ask_token(AskToken(audiences=[audience], minimum_seconds=1))
        generations.append(site.grant("carol").generation)
    mine.ask_lease(AskLease("run 2", ["compute.read"], [COMPUTE], 600))
    mine.lease_status()
    mine.log_out()
    # At least one refresh each; what was fetched may meanwhile have been renewed ahead.
    assert generations[0] == 1
    assert generations == sorted(set(generations))


def recorded(site: Site, canaries: Canaries) -> Send:
    """Return a way to the broker that keeps every answer for the search."""
    door = Door(parse_address(site.url), SystemClock(), str(site.ca_file))

    def send(request: Request) -> Answer:
        answer = door.send(request)
        canaries.search_text(f"the answer to {request.target}", repr(answer).encode())
        return answer

    return send
