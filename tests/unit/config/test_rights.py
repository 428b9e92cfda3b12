"""Files of rules are read strictly: whatever is wrong is named by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from credbroker.config.rights import read_rights
from credbroker.domain.errors import BadSettings
from credbroker.domain.rights import Claims

RULE = """\
rules:
  - when: {groups: [/dteam], entitlements: ["urn:x:*"]}
    allow:
      scopes: ["storage.read:/"]
      audiences: [https://se.example.org]
      longest_seconds: 7200
"""


def written(folder: Path, text: str, name: str = "a.yaml") -> Path:
    """Write a file of rules; return its folder."""
    (folder / name).write_text(text, "utf-8")
    return folder


def test_the_rules_of_all_files_count(tmp_path: Path) -> None:
    """In the order of the names."""
    written(tmp_path, RULE, "b.yaml")
    written(tmp_path, RULE.replace("[/dteam]", "[/ops]"), "a.yaml")
    rights = read_rights(tmp_path)
    assert [rule.source for rule in rights.rules] == ["a.yaml: rules[0]", "b.yaml: rules[0]"]
    [rule] = rights.matching(Claims("ada", ("/dteam",), ("urn:x:1",)))
    assert (str(rule.scopes), rule.audiences) == ("storage.read:/", ("https://se.example.org",))
    assert rule.longest_seconds == 7200


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("rules:", "rule:", "rule: this key is not known"),
        ("groups:", "group:", "rules[0].when.group: this key is not known"),
        ("scopes:", "scope:", "rules[0].allow.scope: this key is not known"),
        ("[/dteam]", "[]", "rules[0].when.groups"),
        ("[/dteam]", "/dteam", "rules[0].when.groups"),
        ('{groups: [/dteam], entitlements: ["urn:x:*"]}', "{}", "rules[0].when: name groups"),
        ("urn:x:*", "*", "rules[0].when.entitlements"),
        ("urn:x:*", "urn:*:x*", "rules[0].when.entitlements"),
        ("storage.read:/", "storage.read", "rules[0].allow.scopes"),
        ("storage.read:/", "storage.read:/home/{subject}", "rules[0].allow.scopes"),
        ("storage.read:/", "storage.read:/a+b", "rules[0].allow.scopes"),
        ("https://se.example.org", "'https://se.example.org/*'", "rules[0].allow.audiences"),
        ("7200", "0", "rules[0].allow.longest_seconds"),
        ("7200", "soon", "rules[0].allow.longest_seconds"),
        ("      audiences: [https://se.example.org]\n", "", "rules[0].allow.audiences"),
        ("rules:", "rules: 5\nother:", "this key is not known"),
        (RULE, "rules: 5", "rules"),
        (RULE, "", "rules"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(
    tmp_path: Path, was: str, becomes: str, named: str
) -> None:
    """A typo gives nobody anything, and takes nothing away unseen."""
    assert was in RULE
    folder = written(tmp_path, RULE.replace(was, becomes))
    with pytest.raises(BadSettings) as error:
        read_rights(folder)
    assert error.value.sentence.startswith(f"{folder}/a.yaml: ")
    assert named in error.value.sentence


def test_a_folder_without_rules_is_told_of(tmp_path: Path) -> None:
    """It would leave everybody without rights."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadSettings, match="with rules here"):
            read_rights(folder)


USERS = """\
local_users:
  - when: {subjects: [ap-robot]}
    names: [alice, "grid*"]
    allow:
      scopes: ["storage.create:/home/{username}"]
      audiences: [https://se.example.org]
"""


def test_rules_about_an_access_points_users_are_read(tmp_path: Path) -> None:
    """In a file of their own, or beside the others."""
    written(tmp_path, RULE + USERS)
    rights = read_rights(tmp_path)
    assert (len(rights.rules), len(rights.users)) == (1, 1)
    [rule] = rights.about("grid7").rules
    assert (str(rule.scopes), rule.source) == (
        "storage.create:/home/grid7",
        "a.yaml: local_users[0]",
    )


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ("names: [alice, ", "names: ['*a', ", "local_users[0].names"),
        ("{subjects: [ap-robot]}", "{}", "local_users[0].when"),
        ("{username}", "{user}", "local_users[0].allow.scopes"),
        ("/home/{username}", "home", "local_users[0].allow.scopes"),
        ("names:", "users:", "local_users[0].users"),
    ],
)
def test_what_is_wrong_about_users_is_named_with_its_file(
    tmp_path: Path, was: str, becomes: str, named: str
) -> None:
    """As for people."""
    assert was in USERS
    with pytest.raises(BadSettings) as error:
        read_rights(written(tmp_path, USERS.replace(was, becomes)))
    assert named in error.value.sentence
