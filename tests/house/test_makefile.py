"""`make` finds a Python that is new enough, or says in a sentence what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile and a PATH of its own, `bin`."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "bin").mkdir()
    for name in ("sh", "touch"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def put(clone: Path, name: str, *, is_new_enough: bool = True, makes_it: bool = True) -> None:
    """Put a stub of this name on PATH: it tells its version by its exit code, and makes a folder."""
    stub = clone / "bin" / name
    stub.write_text(
        f"#!{sys.executable} -IS\n"
        "import pathlib, sys\n"
        f"if sys.argv[1] == '-c': sys.exit({int(not is_new_enough)})\n"
        "folder = pathlib.Path(sys.argv[-1])\n"
        "folder.mkdir(exist_ok=True)\n"
        f"(folder / 'made').write_text({name!r} + ' ' + ' '.join(sys.argv[1:]))\n"
        f"sys.exit({int(not makes_it)})\n"
    )
    stub.chmod(0o755)


def make(clone: Path) -> subprocess.CompletedProcess[str]:
    """Make the environment, as every target does first."""
    return subprocess.run(
        [str(shutil.which("make")), ".venv/.made"],
        cwd=clone, env={"PATH": str(clone / "bin")}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["python3", "python3.13", "python3.11"], "python3.11"),
        (["python3", "python3.13", "python3.12"], "python3.12"),
        (["python3", "python3.13"], "python3.13"),
        (["python3"], "python3"),
    ],
)
def test_the_first_of_the_known_versions_is_taken(
    clone: Path, there: list[str], chosen: str
) -> None:
    """And what an earlier Python left there is cleared away."""
    for name in there:
        put(clone, name)
    assert make(clone).returncode == 0
    assert (clone / ".venv" / "made").read_text() == f"{chosen} -m venv --clear .venv"
    assert (clone / ".venv" / ".made").exists()


@pytest.mark.parametrize("there", [["python3"], []])
def test_a_python_that_is_too_old_is_said_in_one_sentence(clone: Path, there: list[str]) -> None:
    """Nothing is made, so the next `make` begins anew; no Python at all is said likewise."""
    for name in there:
        put(clone, name, is_new_enough=False)
    done = make(clone)
    assert done.returncode != 0
    assert "credbroker needs Python 3.11 or later" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_an_environment_that_could_not_be_made_does_not_count_as_made(clone: Path) -> None:
    """As where the operating system ships Python without its venv module."""
    put(clone, "python3", makes_it=False)
    assert make(clone).returncode != 0
    assert not (clone / ".venv" / ".made").exists()
    put(clone, "python3")
    assert make(clone).returncode == 0
