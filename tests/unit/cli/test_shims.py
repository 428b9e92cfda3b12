"""Stand-ins in a folder: what they call, what they replace, and what they end with."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.cli import shims
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.zipapp import build

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table

NAMES = [*shims.PROGRAMS, shims.STORER]


def stand_in(table: Table, *words: str) -> int:
    """Be the program that the first word names."""
    args = shims.read_foreign(["--as", *words])
    assert args is not None
    return shims.run(args, table.desk())


def test_each_stand_in_calls_this_program(table: Table) -> None:
    """Their paths are the answer; they may be run by everybody, and changed by their owner."""
    folder = table.folder / "new" / "bin"
    assert table.run(shims, str(folder)) == 0
    assert table.answered().splitlines() == [str(folder / name) for name in NAMES]
    for name in NAMES:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o755
    endings = [(folder / name).read_text().splitlines()[-1] for name in NAMES]
    assert [one.partition(" shims ")[2] for one in endings[:-1]] == [
        f'--as {name} "$@"' for name in NAMES[:-1]
    ]
    assert endings[-1].endswith(' condor-storer "$@"')
    assert table.said() == ""


def test_a_stand_in_that_is_there_is_renewed_and_nothing_else_is(table: Table) -> None:
    """A real htgettoken in the folder stays."""
    table.run(shims, str(table.folder))
    before = (table.folder / "httokensh").stat().st_ino
    table.run(shims, str(table.folder))
    assert (table.folder / "httokensh").stat().st_ino != before
    (table.folder / "htgettoken").write_text("#!/usr/bin/python3\n")
    with pytest.raises(LocalFileUnfit, match="not made by this program"):
        table.run(shims, str(table.folder))
    assert (table.folder / "htgettoken").read_text() == "#!/usr/bin/python3\n"


def test_a_folder_must_be_said_and_be_one(table: Table) -> None:
    """As must a program that is stood in for."""
    with pytest.raises(Malformed, match="Where"):
        table.run(shims)
    (table.folder / "file").touch()
    with pytest.raises(LocalFileUnfit):
        table.run(shims, str(table.folder / "file"))
    for words in (["bash"], []):
        with pytest.raises(Malformed, match="no stand-in"):
            stand_in(table, *words)


def test_all_words_behind_a_programs_name_are_its_own(table: Table) -> None:
    """Also those that this command knows, and the separator."""
    assert stand_in(table, "htdestroytoken", "-h") == 2
    assert stand_in(table, "httokensh", "-a", "x", "--", "--debug", "-h") == 1
    assert shims.read_foreign(["--as-one", "--as"]) is None
    assert "Usage: httokensh" not in table.said().partition("Usage: htdestroytoken")[2]


@pytest.mark.parametrize("name", shims.PROGRAMS)
def test_every_stand_in_is_there(table: Table, name: str) -> None:
    """And ends, with a sentence, where it is typed wrong."""
    assert stand_in(table, name, "--no-such-option") in {1, 2, 3}
    assert table.said() != ""


def test_the_program_is_called_where_it_is(tmp_path: Path) -> None:
    """As a file of its own, as an archive behind Python, or as a module of Python's."""
    script = tmp_path / "credbroker"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    archive = tmp_path / "credbroker.pyz"
    build(archive)
    python = [sys.executable, "-I"]
    assert shims.own_words([str(script)]) == [str(script)]
    assert shims.own_words([str(archive)]) == [*python, str(archive)]
    module = [*python, "-m", "credbroker"]
    assert shims.own_words(["/somewhere/credbroker/__main__.py"]) == module
    assert shims.own_words(["-c"]) == module


def test_words_reach_the_program_as_they_were_typed(tmp_path: Path) -> None:
    """Blanks, quotes and empty ones, also in the program's own path."""
    program = tmp_path / "a program"
    program.write_text('#!/bin/sh\nfor one; do printf "<%s>" "$one"; done\n')
    program.chmod(0o755)
    made = tmp_path / "shim"
    made.write_text(shims.script("x", [str(program), "it's"]))
    done = subprocess.run(
        ["/bin/sh", str(made), "a b", "", '"c"'], check=True, capture_output=True, text=True
    )
    assert done.stdout == '<it\'s><a b><><"c">'


def test_the_archive_has_no_storer_and_says_so(tmp_path: Path) -> None:
    """All others work from it, with nothing but Python."""
    archive = tmp_path / "credbroker.pyz"
    build(archive)
    words = [sys.executable, "-I", "-S", str(archive), "shims", str(tmp_path / "bin")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    names = [Path(line).name for line in done.stdout.splitlines()]
    assert names == NAMES[:-1]
    assert "credbroker-condor-storer is not among them" in done.stderr
    version = subprocess.run(
        [str(tmp_path / "bin" / "htgettoken"), "--version"], check=True, capture_output=True
    )
    assert version.stdout.startswith(b"2.6 ")


def test_all_programs_of_htgettokens_packages_are_stood_in_for() -> None:
    """Also the other name of htdecodetoken."""
    theirs = {"htgettoken", "httokensh", "htdecodetoken", "httokendecode", "htdestroytoken"}
    assert set(shims.PROGRAMS) == theirs
