"""Shells complete the commands by what `credbroker completion` prints; man pages are in good order."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from credbroker.cli.completion import SHELLS
from docs.generate_commands import completions
from docs.man_pages import man_pages
from tests.integration.person_world import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TYPED = {
    "credbroker tok": "token",
    "credbroker job sh": "show",
    "credbroker admin issuer rel": "release",
    "credbroker token --aud": "--audience",
}
_BASH = """
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_credbroker
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the text for each shell, and a program by that name."""
    made = tmp_path_factory.mktemp("shells")
    for shell, text in completions().items():
        (made / f"credbroker.{shell}").write_text(text)
    (made / "_credbroker").write_text(completions()["zsh"])
    (made / "credbroker").write_text("#!/bin/sh\n")
    (made / "credbroker").chmod(0o755)
    (made / "a-lease.json").touch()
    return made


def environ(folder: Path) -> dict[str, str]:
    """Return what a shell finds around it."""
    path = f"{folder}{os.pathsep}{os.defpath}"
    return {"PATH": path, "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8"}


def told(folder: Path, *words: str | Path) -> str:
    """Run a program to its end; return what it answered."""
    return subprocess.run(
        words, cwd=folder, env=environ(folder), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=True, timeout=30,
    ).stdout  # fmt: skip


def needed(program: str) -> None:
    """Skip where a program is not installed, which CI has."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: apt install {program})")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_text(folder: Path, shell: str) -> None:
    """Without a word of complaint."""
    needed(shell)
    assert told(folder, shell, "-n", folder / f"credbroker.{shell}") == ""


@pytest.mark.parametrize("typed", TYPED)
def test_bash_completes_commands_and_options(folder: Path, typed: str) -> None:
    """As after the tabulator key."""
    text = folder / "credbroker.bash"
    offered = told(folder, "bash", "-c", _BASH, "bash", text, typed).split()
    assert TYPED[typed] in offered


@pytest.mark.parametrize("typed", TYPED)
def test_fish_completes_commands_and_options(folder: Path, typed: str) -> None:
    """It lists what it would offer when asked."""
    needed("fish")
    asked = f"source credbroker.fish; complete -C '{typed}'"
    offered = told(folder, "fish", "--no-config", "-c", asked).splitlines()
    assert TYPED[typed] in [line.partition("\t")[0] for line in offered]


def test_zsh_completes_commands_and_options(folder: Path) -> None:
    """At a terminal, since it completes nowhere else."""
    needed("zsh")
    keys, terminal = os.openpty()
    child = subprocess.Popen(
        ["zsh", "-f", "-i"], cwd=folder, env=environ(folder), start_new_session=True,
        stdin=terminal, stdout=terminal, stderr=terminal,
    )  # fmt: skip
    shown = ""

    def seen(text: str) -> bool:
        nonlocal shown
        while select.select([keys], [], [], 0)[0]:
            shown += os.read(keys, 65536).decode(errors="replace")
        return text in shown

    def all_shown() -> str:
        return shown

    try:
        os.write(keys, b"fpath=($PWD $fpath); autoload -Uz compinit; compinit -u; echo re''ady\n")
        until(lambda: seen("\nready"), all_shown)
        for typed, word in TYPED.items():
            shown = ""
            os.write(keys, f"{typed}\t".encode())
            until(partial(seen, word), all_shown)
            os.write(keys, b"\x15")  # away with that line
    finally:
        child.kill()
        child.wait()
        os.close(keys)
        os.close(terminal)


def test_a_file_is_offered_where_one_is_meant(folder: Path) -> None:
    """Not a word that is in no list."""
    text = folder / "credbroker.bash"
    offered = told(folder, "bash", "-c", _BASH, "bash", text, "credbroker job show a-l").split()
    assert offered == ["a-lease.json"]


@pytest.mark.parametrize("name", [*man_pages()])
def test_a_man_page_is_in_good_order(name: str, tmp_path: Path) -> None:
    """Neither mandoc nor groff has anything to say about it."""
    needed("mandoc")
    needed("man")
    page = tmp_path / f"{name}.1"
    page.write_text(man_pages()[name])
    assert told(tmp_path, "mandoc", "-Tlint", "-Wwarning", page) == ""
    shown = subprocess.run(
        ["man", "--warnings", "-l", page], env={**environ(tmp_path), "MANPAGER": "cat"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert shown.stderr == ""
    assert name.upper() in shown.stdout
