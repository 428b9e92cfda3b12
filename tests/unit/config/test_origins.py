"""Each setting's place is the line of the last file that says something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbroker.config.origins import origins
from tests.unit.config.place import write

if TYPE_CHECKING:
    from pathlib import Path


def found(folder: Path, **files: str) -> dict[str, str]:
    """Return by key the file's name and the line of all that is written."""
    read = origins(write(folder, **files))
    return {key: f"{one.file.name}:{one.line}" for key, one in read.items()}


def test_the_last_file_that_names_a_key_is_its_place(tmp_path: Path) -> None:
    """A section that both have is in both."""
    assert found(tmp_path, a="log:\n\n  level: info\nssh: {}\n", b="#\nlog: {level: debug}\n") == {
        "log": "b.yaml:2",
        "log.level": "b.yaml:2",
        "ssh": "a.yaml:4",
    }


def test_entries_of_lists_have_their_lines_and_go_with_the_list(tmp_path: Path) -> None:
    """A later list replaces all of an earlier one."""
    first = "kerberos:\n- realms: [A]\n- realms: [B]\n"
    assert found(tmp_path, a=first)["kerberos[1].realms"] == "a.yaml:3"
    assert found(tmp_path, a=first, b="kerberos:\n- domain: x\n") == {
        "kerberos": "b.yaml:1",
        "kerberos[0]": "b.yaml:2",
        "kerberos[0].domain": "b.yaml:2",
    }


def test_what_is_merged_in_yaml_is_where_it_was_written(tmp_path: Path) -> None:
    """And what is written out goes over it, wherever it stands."""
    text = "one: &same\n  x: 1\n  y: 2\ntwo:\n  y: 3\n  <<: *same\n"
    read = found(tmp_path, a=text)
    assert (read["two.x"], read["two.y"]) == ("a.yaml:2", "a.yaml:5")


def test_a_file_with_nothing_in_it_says_nothing(tmp_path: Path) -> None:
    """As one whose settings are all commented out."""
    assert found(tmp_path, a="# nothing\n", b="log: {level: info}\n")["log.level"] == "b.yaml:1"


def test_what_null_took_away_is_written_nowhere(tmp_path: Path) -> None:
    """A section that begins anew in a later file has its defaults, whatever stood in an earlier one."""
    written = found(
        tmp_path, a="notify:\n  mail: {server: a, port: 26}\n", b="notify: {mail: null}\n",
        c="notify:\n  mail: {server: c}\n",
    )  # fmt: skip
    assert "notify.mail.port" not in written
    assert written["notify.mail.server"] == "c.yaml:2"
