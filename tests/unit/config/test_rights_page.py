"""The examples of docs/rights.md are what is read, and give what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from credbroker.config.communities import Community
from credbroker.config.load import read_part
from credbroker.config.rights import read_rights
from credbroker.config.schema import Issuer
from credbroker.domain.attenuation import Right
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.rights import USERNAME, Claims, Rights
from credbroker.domain.scopes import ScopeSet
from credbroker.edge.condor.names import Kind
from credbroker.edge.condor.settings import read_settings
from tests.fakes.condor_config import condor_settings, settings, shown

PAGE = Path(__file__).parents[3] / "docs/rights.md"
MEMBER = "urn:mace:egi.eu:group:dteam:role=member#aai.egi.eu"


@pytest.fixture
def rights(tmp_path: Path) -> Rights:
    """Return the page's rules."""
    (tmp_path / "dteam.yaml").write_text(examples()[1], "utf-8")
    (tmp_path / "users.yaml").write_text(examples()[2], "utf-8")
    return read_rights(tmp_path)


def examples() -> list[str]:
    """Return the page's blocks of YAML."""
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_settings_of_the_page_are_read() -> None:
    """Both communities, and the issuer."""
    for text in (examples()[0], examples()[3]):
        written: dict[str, dict[str, Any]] = yaml.safe_load(text)
        for name, fields in written["communities"].items():
            read_part(Community, fields, PAGE, f"communities.{name}")
        for name, fields in written.get("issuers", {}).items():
            assert read_part(Issuer, fields, PAGE, f"issuers.{name}").signed_by == "dteam"


def test_the_rules_of_the_page_give_what_it_says(rights: Rights) -> None:
    """Modify at the one storage alone, for who is in the group and named."""
    member = Claims("77c0d2@egi.eu", (), (MEMBER,))
    producer = Claims(member.subject, ("/dteam/production",), (MEMBER,))
    se, other = "https://se.example.org", "https://other.example.org"
    plain = "storage.read:/ storage.create:/home compute.create"
    assert str(rights.most(member).scopes) == plain
    assert rights.most(member).audiences == (se,)
    assert str(rights.most(producer, (se,)).scopes) == f"{plain} storage.modify:/data"
    assert str(rights.most(producer, (other,)).scopes) == plain
    with pytest.raises(CredbrokerError):
        rights.most(Claims("somebody@egi.eu", ("/dteam/production",)))


def test_an_access_points_users_have_their_homes(rights: Rights) -> None:
    """And the access point itself has nothing by that."""
    robot = Claims("5d0c11@egi.eu")
    home = "storage.read:/ storage.create:/home/grid7"
    assert str(rights.about("grid7").most(robot).scopes) == home
    with pytest.raises(CredbrokerError):
        rights.most(robot)


def test_the_settings_of_an_access_point_ask_for_what_the_rules_give(rights: Rights) -> None:
    """As the page about HTCondor shows them beside these rules."""
    said = settings(shown("51-credbroker-local.conf"))
    read = read_settings(condor_settings(**said), name="CREDMON_OAUTH")
    assert read.claims.kind("ap") is Kind.LOCAL
    assert read.local is not None
    scopes = ScopeSet.parse(read.local.authorization.replace(USERNAME, "grid7"))
    most = rights.about("grid7").most(Claims("5d0c11@egi.eu"), read.local.audiences)
    assert Right(scopes, read.local.audiences).within(most)
