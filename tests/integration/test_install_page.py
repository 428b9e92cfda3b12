"""docs/install.md is followed to the letter, from the packages on, in a machine of its own.

The packages are built as `make packages` builds them; the page's blocks run in their order under a real
systemd, with its own files, names and ports, against a real OpenBao.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from credbroker import __version__
from tests.integration.boot_world import boot, why_not

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "systemd" / "packages"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both packages."""
    for program, package in (("dpkg-deb", "dpkg"), ("rpmbuild", "rpm"), ("rpmlint", "rpmlint")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing; apt-get install {package}")
    folder = tmp_path_factory.mktemp("packages")
    run(sys.executable, PACKAGES / "build.py", folder)
    return folder


def run(*words: str | Path) -> str:
    """Run a program that must succeed; return what it said."""
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def deb(built: Path) -> Path:
    """Return the one deb there is."""
    (found,) = built.glob("*.deb")
    return found


def rpm_says(built: Path, *words: str) -> str:
    """Return what the one rpm there is says of itself."""
    (found,) = built.glob("*.rpm")
    return run("rpm", "--dbpath", built / "none", "--query", "--package", *words, found)


@pytest.fixture(scope="module")
def root(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the deb was unpacked."""
    folder = tmp_path_factory.mktemp("root")
    run("dpkg-deb", "--extract", deb(built), folder)
    return folder


def test_the_packages_program_runs_on_what_lies_beside_it(root: Path) -> None:
    """And on nothing else that is installed here; what needs most is loaded, too."""
    program = (root / "usr/bin/credbroker", "--version")
    python = root / "usr/lib/credbroker/bin/python"
    assert run(python, "-I", *program) == f"credbroker {__version__}\n"
    assert "usage: credbroker serve" in run(python, "-I", program[0], "serve", "--help")
    where = run(python, "-I", "-c", "import aiohttp, credbroker; print(aiohttp.__file__)")
    assert where.startswith(str(root))


def test_what_the_package_runs_is_compiled_already(root: Path) -> None:
    """Its user may not write there, so each start would do it all again."""
    site = root / f"usr/lib/credbroker/lib/{PYTHON}/site-packages"
    source = {one.relative_to(site) for one in site.glob("credbroker/**/*.py")}
    compiled = {one.relative_to(site) for one in site.glob("credbroker/**/*.pyc")}
    assert {one.parent.parent / f"{one.name.split('.')[0]}.py" for one in compiled} == source


def test_both_packages_hold_the_same(built: Path, root: Path) -> None:
    """File by file, with the same modes; and neither brings settings that a broker would read."""
    listed = rpm_says(built, "--queryformat", "[%{FILENAMES} %{FILEMODES:octal}\n]")
    in_rpm = dict(line.split() for line in listed.splitlines())
    files = [one for one in root.rglob("*") if one.is_file() and not one.is_symlink()]
    in_deb = {f"/{one.relative_to(root)}": f"{one.stat().st_mode:o}" for one in files}
    in_rpm = {name: mode.lstrip("0") for name, mode in in_rpm.items() if name in in_deb}
    assert in_deb == in_rpm
    assert not (root / "etc").exists()
    assert {
        f"/usr/lib/systemd/system/{one.name}" for one in (ROOT / "systemd").glob("*.service")
    } < {*in_deb}


def test_the_packages_ask_for_python_and_give_nobody_a_library(built: Path) -> None:
    """What lies in them is theirs alone."""
    needs = rpm_says(built, "--requires").splitlines()
    assert PYTHON in needs
    assert not [one for one in needs if ".so" in one or "python3dist" in one]
    gives = rpm_says(built, "--provides").splitlines()
    assert {re.split(r"[ (]", one)[0] for one in gives} == {"credbroker"}
    assert f"{PYTHON}, libc6 (>= 2.34)" in run("dpkg-deb", "--field", deb(built), "Depends")


def test_the_spec_is_one_that_rpmlint_takes() -> None:
    """Without an error."""
    assert " 0 errors" in run("rpmlint", PACKAGES / "credbroker.spec")


@pytest.fixture(scope="module")
def seen(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen while the page was followed."""
    reason = why_not(tmp_path_factory.mktemp("tried"))
    if reason:
        pytest.skip(reason)

    def put_packages(added: Path) -> None:
        (added / "srv").mkdir()
        shutil.copy(deb(built), added / "srv")

    found = boot(tmp_path_factory.mktemp("booted"), "tests.integration.install_story", put_packages)
    assert "broke" not in found, f"{found['broke']}\n{found['journal']}"
    return found


def test_who_follows_the_page_has_a_site_that_works(seen: dict[str, Any]) -> None:
    """From the packages to somebody's token, each command as it stands."""
    told = "".join(seen["said"])
    assert f"credbroker {__version__}" in told
    assert "Nothing was changed. With --do, 6 of 6 would be." in told
    assert "Done: 6 of 6." in told
    assert "Logged in to cms as alice in the role default" in told
    assert "There is nothing to do." in told
    assert "Success! Revoked token" in told


def test_the_page_leaves_no_secret_open(seen: dict[str, Any]) -> None:
    """What the broker logs in with is root's alone, and the first token is gone."""
    names = ["role-id", "secret-id", "client-secret-cms"]
    secrets = {f"secrets/{name}": ["0o600", "root"] for name in names}
    assert seen["secrets"] == {"secrets": ["0o700", "root"], **secrets}
    left = {"vault-token", "openbao-init.json", "client-secret-cms"}
    assert not left & {*seen["left in memory"]}


def test_the_page_leaves_both_services_running_and_enabled(seen: dict[str, Any]) -> None:
    """At the first try, and after the reload."""
    for unit in ("credbroker", "openbao"):
        assert sorted(seen[unit]) == ["ActiveState=active", "NRestarts=0", "UnitFileState=enabled"]


def test_the_packages_units_are_taken_by_systemd_where_they_are_installed(
    seen: dict[str, Any],
) -> None:
    """Each of them, with the program that it starts."""
    assert "credbroker" not in seen["verified"]


def test_a_renewed_certificate_is_shown_after_the_pages_last_block(seen: dict[str, Any]) -> None:
    """By the same process as before."""
    assert seen["certificate after"] == seen["certificate of the site"]
    assert seen["certificate before"] != seen["certificate after"]
