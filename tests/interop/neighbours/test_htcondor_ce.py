"""HTCondor's own libSciTokens and map function take the tokens of our issuer as a CE does.

The settings of both sides are those of docs/neighbours/htcondor-ce.md.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.pages import block, communities, put
from tests.interop.neighbours.venvs import venv

if TYPE_CHECKING:
    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

# Making the environment counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = "htcondor-ce.md"
CLIENT, HERE, THERE = "pilot-factory", "ce.example.org:9619", "ce2.example.org:9619"
ALL = "compute.read compute.create compute.modify compute.cancel"
BOTH_RIGHTS = ["condor:/READ", "condor:/WRITE"]
INSIDE = Path(__file__).with_name("inside_htcondor.py")
LIMIT_SECONDS = 30


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python that has HTCondor's library."""
    return venv("htcondor")


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The page's issuer."""
    return open_issuer(communities(PAGE)["dteam"])


@pytest.fixture
def rights(python: Path, issuer: IssuerWorld, tmp_path: Path) -> Rights:
    """The library, with no key in its cache."""
    return Rights(python, issuer, tmp_path)


class Rights:
    """Asks the library what tokens allow at the page's CE."""

    def __init__(self, python: Path, issuer: IssuerWorld, cache: Path) -> None:
        self._python, self._issuer, self._cache = python, issuer, cache

    def __call__(self, *tokens: str, audience: str = HERE) -> list[Any]:
        """Return for each token the rights, or the sentence of its refusal."""
        return inside(
            self._python,
            {
                "ca_file": str(self._issuer.ca_file),
                "cache": str(self._cache),
                "issuer": self._issuer.url,
                "audience": audience,
                "tokens": tokens,
            },
        )


def test_a_pilots_token_may_look_and_submit(rights: Rights, issuer: IssuerWorld) -> None:
    """The library fetches the keys itself, from an issuer that it has never met."""
    assert rights(issuer.token(CLIENT, ALL, HERE)) == [BOTH_RIGHTS]


def test_the_page_names_the_ce_as_the_audience_does() -> None:
    """One name on both sides."""
    assert f"SCITOKENS_SERVER_AUDIENCE = {HERE}\n" in block(PAGE, "# /etc/condor-ce/config.d")
    assert HERE in communities(PAGE)["dteam"]["clients"][CLIENT]["audiences"]


def test_a_token_for_another_ce_is_refused(rights: Rights, issuer: IssuerWorld) -> None:
    """Nothing that it says counts there."""
    (said,) = rights(issuer.token(CLIENT, ALL, THERE))
    assert "verification" in said.lower() or "audience" in said.lower(), said


def test_a_token_signed_with_es256_is_taken_too(rights: Rights, issuer: IssuerWorld) -> None:
    """The other CE's audience has that algorithm in the settings."""
    ours = issuer.token(CLIENT, ALL, THERE)
    assert opened(ours)[0]["alg"] == "ES256"
    assert rights(ours, audience=THERE) == [BOTH_RIGHTS]


@pytest.mark.parametrize("missing", ALL.split())
def test_who_lacks_one_of_the_four_scopes_lacks_a_right(
    rights: Rights, issuer: IssuerWorld, missing: str
) -> None:
    """Looking is one, submitting takes the other three together."""
    scope = " ".join(one for one in ALL.split() if one != missing)
    left = ["condor:/WRITE"] if missing == "compute.read" else ["condor:/READ"]
    assert rights(issuer.token(CLIENT, scope, HERE)) == [left]


def test_keys_once_fetched_serve_while_the_issuer_is_down(
    rights: Rights, issuer: IssuerWorld
) -> None:
    """A token that nobody has seen before is taken."""
    first, fresh = issuer.token(CLIENT, ALL, HERE), issuer.token(CLIENT, ALL, HERE)
    assert rights(first) == [BOTH_RIGHTS]
    with issuer.down():
        assert rights(fresh) == [BOTH_RIGHTS]


def test_the_pages_map_gives_the_pilots_group_to_its_subject_alone(
    python: Path, issuer: IssuerWorld, tmp_path: Path
) -> None:
    """By HTCondor's own reading of the file, for accounting."""
    claims = opened(issuer.token(CLIENT, ALL, HERE))[1]
    example = r"https:\/\/tokens\.example\.org:8200\/dteam\/"
    ours = issuer.url.replace("/", r"\/").replace(".", r"\.")
    lines = put(block(PAGE, "# /etc/condor-ce/apel-groups.map"), {example: ours})
    (tmp_path / "groups.map").write_text(lines)
    pair = f"{claims['iss']},{claims['sub']}"
    environment = {
        "CONDOR_CONFIG": "/dev/null",
        "_CONDOR_TOOL_CLASSAD_USER_MAP_NAMES": "Groups",
        "_CONDOR_CLASSAD_USER_MAPFILE_Groups": str(tmp_path / "groups.map"),
    }
    said = inside(python, {"pairs": [pair, f"{pair}-two", f"x{pair}"]}, **environment)
    assert said == ["/dteam/Role=pilot", None, None]


def test_the_page_maps_the_same_pair_to_an_account() -> None:
    """The line for the CE's own map has the expression of the line for accounting."""
    account = block(PAGE, "# /etc/condor-ce/mapfiles.d").splitlines()[1].split()
    group = block(PAGE, "# /etc/condor-ce/apel-groups.map").splitlines()[1].split()
    assert account[:2] == ["SCITOKENS", group[1]]


def inside(python: Path, asked: dict[str, Any], **environment: str) -> list[Any]:
    """Ask HTCondor's environment."""
    done = subprocess.run(
        [str(python), "-I", str(INSIDE)],
        input=json.dumps(asked),
        env={"PATH": os.defpath, "CONDOR_CONFIG": "/dev/null", **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers
