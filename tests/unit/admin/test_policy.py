"""An operator is told what would be signed, and by which line of the settings."""

from __future__ import annotations

import argparse
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from credbroker.admin import policy
from credbroker.admin.desk import Desk
from credbroker.domain.errors import LocalFileUnfit, NotFound
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.unit.config.place import right, write
from tests.unit.config.test_community_faults import community, service

if TYPE_CHECKING:
    from pathlib import Path

RULE = {
    "when": {"groups": ["/dteam"]},
    "allow": {"scopes": ["storage.read:/data"], "audiences": ["https://se.test"]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return settings with a community, a client and a rule for people."""
    rules = tmp_path / "rights.d"
    rules.mkdir()
    (rules / "dteam.yaml").write_text(yaml.safe_dump({"rules": [RULE]}))
    rucio = service(
        scopes=["storage.read:/", "storage.stage:/"], audiences=["https://*.test", "https://x.org"],
        stage_adds_read=True,
    )  # fmt: skip
    dteam = community(clients={"rucio": rucio}, rights_folder=str(rules))
    ops = community(url="https://broker.test:8200/ops/")
    return write(tmp_path, a=right(tmp_path) | {"communities": {"dteam": dteam, "ops": ops}})


def explain(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, what it answered and what it said."""
    parser = argparse.ArgumentParser()
    policy.add_arguments(parser)
    out, err = io.StringIO(), io.StringIO()
    args = parser.parse_args(["explain", "--config", str(folder), *words])
    code = policy.run(args, Desk(FakeClock(), FakeEntropy(), out, err))
    return code, out.getvalue(), err.getvalue()


def test_each_line_says_what_allows_it(folder: Path) -> None:
    """What was added, and how long it lives, too."""
    code, answered, _ = explain(
        folder, "dteam", "rucio", "--scope", "storage.stage:/tape/", "--audience", "https://se.test"
    )
    assert code == 0
    assert answered.splitlines() == [
        "allowed storage.stage:/tape/: storage.stage:/ is in its settings.",
        "allowed storage.read:/tape/: storage.read:/ is in its settings.",
        "allowed https://se.test: https://*.test is in its settings.",
        "added storage.read:/tape/: staging needs it, and stage_adds_read is set.",
        "lives 3600 s: the row read of the table of lifetimes, and the lines of policy about it.",
    ]


def test_a_refusal_says_why_and_has_its_exit_code(folder: Path) -> None:
    """As the service would be told; and what helps, where that is more than this command."""
    words = ("dteam", "rucio", "--audience", "https://se.test", "--scope")
    code, answered, said = explain(folder, *words, "storage.modify:/")
    assert (code, said) == (5, "")
    assert answered == (
        "refused: Not within what this client or person may have: storage.modify:/.\n"
    )
    code, answered, said = explain(folder, *words, "storage.read:/a+b")
    assert code == 5
    assert "character +" in answered
    assert "folder above" in said
    code, answered, _ = explain(folder, "dteam", "rucio", "--audience", "https://other.org")
    assert (code, "https://other.org" in answered) == (5, True)


def test_a_script_reads_json(folder: Path) -> None:
    """The same, in one object."""
    words = ("dteam", "rucio", "--json", "--for", "9999", "--audience", "https://se.test")
    code, answered, _ = explain(folder, *words, "--scope", "storage.read:/data")
    read: dict[str, Any] = json.loads(answered)
    remarks = read.pop("remarks")
    assert code == 0
    assert read == {
        "allowed": True, "scope": "storage.read:/data", "audience": ["https://se.test"],
        "groups": [], "seconds": 3600,
    }  # fmt: skip
    assert [one["what"] for one in remarks][2:] == ["cut 9999 s to 3600 s", "lives 3600 s"]
    code, answered, _ = explain(folder, *words, "--scope", "storage.read")
    assert code == 5
    assert json.loads(answered)["error"] == "scope_refused"


def test_a_persons_claims_are_held_against_the_rules(folder: Path, tmp_path: Path) -> None:
    """The file with the rule is named; without anything asked for it is all that they may have."""
    ada = tmp_path / "ada.json"
    ada.write_text(json.dumps({"sub": "ada", "wlcg.groups": ["/dteam"]}))
    code, answered, _ = explain(folder, "dteam", "--claims", str(ada))
    assert code == 0
    lines = answered.splitlines()
    assert lines[0].startswith("allowed storage.read:/data: a rule in ")
    assert "dteam.yaml" in lines[0]
    assert lines[1].startswith("allowed https://se.test: a rule in ")
    bob = tmp_path / "bob.json"
    bob.write_text(json.dumps({"sub": "bob"}))
    code, answered, _ = explain(folder, "dteam", "--claims", str(bob))
    assert (code, answered.startswith("refused: No rule")) == (5, True)
    code, answered, _ = explain(folder, "ops", "--claims", str(ada))
    assert (code, "rights_folder" in answered) == (5, True)


def test_groups_are_told_of_as_the_broker_gives_them(folder: Path, tmp_path: Path) -> None:
    """Beside capabilities only by name; one of them by itself is not, nor what steers a login."""
    rule = RULE | {"allow": {"scopes": ["storage.read:/", "wlcg.groups"], "audiences": ["x"]}}
    (tmp_path / "rights.d" / "dteam.yaml").write_text(yaml.safe_dump({"rules": [rule]}))
    ada = tmp_path / "ada.json"
    ada.write_text(json.dumps({"sub": "ada", "wlcg.groups": ["/dteam"]}))
    words = ("dteam", "--claims", str(ada), "--json", "--scope")
    for scope, groups in [("", []), ("storage.read:/ wlcg.groups openid", ["/dteam"])]:
        code, answered, _ = explain(folder, *words, scope)
        assert (code, json.loads(answered)["groups"]) == (0, groups)
    for scope in ("wlcg.groups:/dteam storage.read:/", "openid", "wlcg.groups"):
        code, answered, _ = explain(folder, *words, scope)
        assert (code, json.loads(answered)["error"]) == (5, "outside_ceiling")


def test_an_access_points_users_are_told_of(folder: Path, tmp_path: Path) -> None:
    """Whom its login may have tokens about, and by which rule; a client has no users."""
    users = {
        "when": {"subjects": ["ap"]}, "names": ["grid*"],
        "allow": {"scopes": ["storage.create:/home/{username}"], "audiences": ["https://se.test"]},
    }  # fmt: skip
    (tmp_path / "rights.d" / "users.yaml").write_text(yaml.safe_dump({"local_users": [users]}))
    claims = tmp_path / "ap.json"
    claims.write_text(json.dumps({"sub": "ap"}))
    code, answered, _ = explain(folder, "dteam", "--claims", str(claims), "--about", "grid7")
    assert code == 0
    assert "allowed storage.create:/home/grid7: a rule in users.yaml: local_users[0]" in answered
    for words in (("--claims", str(claims), "--about", "root"), ("rucio", "--about", "grid7")):
        code, answered, _ = explain(folder, "dteam", *words)
        assert (code, answered.startswith("refused: ")) == (5, True)
    code, answered, _ = explain(folder, "dteam", "--claims", str(claims))
    assert code == 5


def test_a_client_without_the_grant_is_refused(folder: Path) -> None:
    """As it would be by the broker: the one that exchanges tokens has none about itself."""
    file = folder / "a.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["communities"]["dteam"]["clients"]["rucio"]["grants"] = ["token_exchange"]
    file.write_text(yaml.safe_dump(settings))
    code, answered, _ = explain(folder, "dteam", "rucio", "--scope", "storage.read:/")
    assert (code, "may not use the grant client_credentials" in answered) == (5, True)


def test_a_name_that_is_not_there_is_answered_with_those_that_are(folder: Path) -> None:
    """Of communities and of clients."""
    with pytest.raises(NotFound) as error:
        explain(folder, "atlas", "rucio")
    assert error.value.remedy == "They name: dteam, ops."
    with pytest.raises(NotFound) as error:
        explain(folder, "dteam", "fts")
    assert error.value.remedy == "It has: rucio."


def test_claims_that_cannot_be_read_are_said_to_be(folder: Path, tmp_path: Path) -> None:
    """With the file."""
    with pytest.raises(LocalFileUnfit, match=r"none\.json"):
        explain(folder, "dteam", "--claims", str(tmp_path / "none.json"))
