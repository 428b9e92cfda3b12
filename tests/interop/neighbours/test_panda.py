"""The token code of PanDA's server, unmodified: takes our tokens, knows whose they are, fetches its own.

The settings of both sides are those of docs/neighbours/panda.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.neighbours.inside import Inside, inside
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.pages import block, communities, put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

# Installing PanDA's server counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = "panda.md"
EXAMPLE_URL = "https://tokens.example.org:8200/dteam/"
EXAMPLE_SECRET = "what /etc/credbroker/secrets/panda holds"
PANDA = "https://panda.example.org"
COMPUTE = "compute.read compute.modify compute.create compute.cancel"


class Panda:
    """PanDA's server, as far as tokens go."""

    def __init__(self, server: Inside) -> None:
        """Speak to what runs."""
        self._server = server

    def decode(self, token: str) -> tuple[bool, Any]:
        """Show it a token."""
        return self._said("decode", token)

    def fetch(self, name: str) -> tuple[bool, Any]:
        """Have it fetch a token of its own."""
        return self._said("fetch", name)

    def _said(self, what: str, argument: str) -> tuple[bool, Any]:
        worked, said = self._server.tell(what, argument)
        return worked, said


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up, and with two things that PanDA cannot read."""
    dteam = communities(PAGE)["dteam"]
    harvester = dteam["clients"]["harvester"]
    others = {
        "stranger": harvester,
        "modern": {**harvester, "audiences": [PANDA, "https://es256.example.org"]},
    }
    return open_issuer(
        {
            **dteam,
            "clients": {**dteam["clients"], **others},
            "audiences": {"https://es256.example.org": {"algorithm": "ES256"}},
        }
    )


@pytest.fixture(scope="module")
def panda(issuer: IssuerWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panda]:
    """PanDA's server, as the page sets it up."""
    folder = tmp_path_factory.mktemp("panda")
    names = {EXAMPLE_URL: issuer.url}
    auth, cache = folder / "dteam.production_auth_config.json", folder / "token_cache.json"
    auth.write_text(put(block(PAGE, '{\n  "client_id"'), names))
    names[EXAMPLE_SECRET] = issuer.secrets["panda"]
    cache.write_text(put(block(PAGE, '{\n  "pilot_server"'), names))
    words = (str(auth), str(cache))
    with inside("panda", *words, folder=folder, ca_file=issuer.ca_file) as server:
        yield Panda(server)


def test_the_server_takes_our_token_and_finds_whose_it_is(
    panda: Panda, issuer: IssuerWorld
) -> None:
    """By the claim `client_id`, as a single audience that is a service names nobody."""
    worked, claims = panda.decode(issuer.token("harvester", "", PANDA))
    assert worked, claims
    assert (claims["extracted_client_id"], claims["vo"]) == ("harvester", "dteam")
    assert (claims["aud"], claims["iss"], claims["sub"]) == (PANDA, issuer.url, "harvester")


def test_the_server_refuses_a_client_that_its_settings_do_not_name(
    panda: Panda, issuer: IssuerWorld
) -> None:
    """Though our issuer signed it."""
    worked, why = panda.decode(issuer.token("stranger", "", PANDA))
    assert not worked
    assert "cannot extract client_id" in why


def test_the_server_fetches_a_token_of_its_own_without_naming_anything(
    panda: Panda, issuer: IssuerWorld
) -> None:
    """With the secret in the form; the token outlives the hour until it fetches the next."""
    worked, token = panda.fetch("pilot_server")
    assert worked, token
    claims = opened(token)[1]
    assert (claims["aud"], claims["client_id"]) == (PANDA, "panda")
    assert claims["exp"] - claims["iat"] >= 2 * 3600
    assert panda.decode(token)[1]["extracted_client_id"] == "panda"


def test_es256_or_two_audiences_are_no_use_to_the_server(panda: Panda, issuer: IssuerWorld) -> None:
    """Which is why neither is what a token for it has, unless an operator says so."""
    for audience in ("https://es256.example.org", f"{PANDA} https://es256.example.org"):
        assert not panda.decode(issuer.token("modern", "", audience))[0]
    assert panda.decode(issuer.token("harvester", COMPUTE, "https://arex.example.org"))[0]
