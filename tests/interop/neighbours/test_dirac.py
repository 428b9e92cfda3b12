"""DIRAC 9's own client of an identity provider, unmodified: fetches, exchanges and refreshes our tokens.

The settings of both sides are those of docs/neighbours/dirac.md.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.neighbours.inside import Inside, inside
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.pages import block, communities, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

# Installing DIRAC counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = "dirac.md"
PILOT_SCOPES = ["compute.cancel", "compute.create", "compute.modify", "compute.read"]
HTCONDOR_CE, AREX = "ce.example.org:9619", "https://arex.example.org:8443"


class Dirac:
    """DIRAC's client of its identity provider; every answer is in DIRAC's own form."""

    def __init__(self, client: Inside) -> None:
        """Speak to what runs."""
        self._client = client

    def answer(self, method: str, **arguments: object) -> dict[str, Any]:
        """Have the client do something; return what came of it."""
        answered: dict[str, Any] = self._client.tell(method, arguments)
        return answered

    def value(self, method: str, **arguments: object) -> Any:
        """Do the same where it must succeed."""
        answered = self.answer(method, **arguments)
        assert answered["OK"], answered
        return answered["Value"]


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up."""
    return open_issuer(communities(PAGE)["dteam"])


@pytest.fixture(scope="module")
def settings(issuer: IssuerWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DIRAC's settings, as on the page."""
    file = tmp_path_factory.mktemp("dirac") / "dirac.cfg"
    names = {
        "https://tokens.example.org:8200/dteam/": issuer.url,
        "secret-of-dirac-fts": issuer.secrets["dirac-fts"],
        "secret-of-dirac": issuer.secrets["dirac"],
    }
    file.write_text(put(block(PAGE, "Resources"), names))
    return file


@pytest.fixture(scope="module")
def dirac(issuer: IssuerWorld, settings: Path) -> Iterator[Dirac]:
    """DIRAC as it submits pilots and serves people."""
    with running(issuer, settings) as client:
        yield client


@pytest.fixture(scope="module")
def for_fts(issuer: IssuerWorld, settings: Path) -> Iterator[Dirac]:
    """DIRAC as it submits transfers: the other client of the same provider."""
    with running(issuer, settings, "fts") as client:
        yield client


@contextmanager
def running(issuer: IssuerWorld, settings: Path, *prefix: str) -> Iterator[Dirac]:
    """Run DIRAC's client for a while."""
    words = (str(settings), "dteam", *prefix)
    with inside("dirac", *words, folder=settings.parent, ca_file=issuer.ca_file) as client:
        yield Dirac(client)


def of_client(dirac: Dirac, scope: list[str], audience: str | None = None) -> Any:
    """Have DIRAC fetch a token in its own name."""
    named = {} if audience is None else {"audience": audience}
    return dirac.value("fetchToken", grant_type="client_credentials", scope=scope, **named)


@pytest.mark.parametrize("audience", [HTCONDOR_CE, AREX])
def test_a_pilot_gets_a_token_for_its_ce(dirac: Dirac, audience: str) -> None:
    """All four scopes, the CE with its port, and time enough for DIRAC to use it."""
    fetched = of_client(dirac, PILOT_SCOPES, audience)
    claims = opened(fetched["access_token"])[1]
    assert (claims["aud"], set(claims["scope"].split())) == (audience, set(PILOT_SCOPES))
    assert fetched["expires_at"] - claims["iat"] > 600
    assert fetched["client_id"] == claims["client_id"] == "dirac"


def test_dirac_verifies_what_it_fetched_with_our_keys(dirac: Dirac) -> None:
    """By the document and the keys that it finds from the issuer's URL alone."""
    fetched = of_client(dirac, PILOT_SCOPES, AREX)
    assert dirac.value("verifyToken", accessToken=fetched["access_token"])["sub"] == "dirac"


def test_a_transfer_gets_tokens_for_its_file_though_it_names_no_audience(for_fts: Dirac) -> None:
    """One for the source, one for the destination, as DIRAC asks for them file by file."""
    source = ["storage.read:/dteam/raw/run1.dst", "offline_access"]
    destination = [
        "storage.modify:/dteam/user/run1.dst",
        "storage.read:/dteam/user/run1.dst",
        "storage.read:/dteam/user",
        "offline_access",
    ]
    for scope in (source, destination):
        claims = opened(of_client(for_fts, scope)["access_token"])[1]
        assert set(claims["scope"].split()) == set(scope)
        assert claims["aud"] == ["fts.example.org", "se1.example.org", "se2.example.org"]
        assert claims["client_id"] == "dirac-fts"


def test_a_file_whose_name_storage_may_read_as_a_pattern_is_refused_by_name(for_fts: Dirac) -> None:
    """Its folder may be had instead; DIRAC is told which scope it was."""
    scope = "storage.read:/dteam/a+b.dst"
    refused = for_fts.answer("fetchToken", grant_type="client_credentials", scope=[scope])
    assert not refused["OK"]
    assert f"invalid_scope: The path in {scope}" in refused["Message"], refused


def test_two_refreshes_with_the_first_refresh_token_both_succeed(dirac: Dirac) -> None:
    """DIRAC never stores another one than the first."""
    ours = of_client(dirac, [*PILOT_SCOPES, "offline_access"], AREX)
    exchanged = dirac.value(
        "exchangeToken",
        accessToken=ours["access_token"],
        scope=["compute.read", "offline_access"],
    )
    assert "compute.create" not in opened(exchanged["access_token"])[1]["scope"]
    refreshed = [
        dirac.value("refreshToken", refreshToken=exchanged["refresh_token"], scope="compute.read")
        for _ in range(2)
    ]
    assert len({opened(one["access_token"])[1]["jti"] for one in refreshed}) == 2
    assert {opened(one["access_token"])[1]["sub"] for one in refreshed} == {"dirac"}


def test_a_refresh_for_a_group_of_dirac_gives_that_group(dirac: Dirac) -> None:
    """DIRAC makes the scope from the names of the group and its community."""
    asked = ["wlcg.groups:/dteam/user", "offline_access"]
    ours = of_client(dirac, asked, AREX)
    exchanged = dirac.value("exchangeToken", accessToken=ours["access_token"], scope=asked)
    refreshed = dirac.value(
        "refreshToken", refreshToken=exchanged["refresh_token"], group="dteam_user"
    )
    assert opened(refreshed["access_token"])[1]["wlcg.groups"] == ["/dteam/user"]


def test_an_exchange_for_more_is_refused_in_words(dirac: Dirac) -> None:
    """DIRAC passes them on to whoever asked."""
    ours = of_client(dirac, ["compute.read"], AREX)
    refused = dirac.answer(
        "exchangeToken", accessToken=ours["access_token"], scope=["compute.create"]
    )
    assert not refused["OK"]
    assert "compute.create" in refused["Message"]


def test_a_refresh_token_that_dirac_revokes_is_of_no_more_use(dirac: Dirac) -> None:
    """As after a logout."""
    ours = of_client(dirac, ["compute.read", "offline_access"], HTCONDOR_CE)
    refresh_token = dirac.value(
        "exchangeToken",
        accessToken=ours["access_token"],
        scope=["compute.read", "offline_access"],
    )["refresh_token"]
    assert dirac.answer("revokeToken", token=refresh_token)["OK"]
    refused = dirac.answer("refreshToken", refreshToken=refresh_token)
    assert refused["Message"].startswith("Invalid refresh token: invalid_grant"), refused
