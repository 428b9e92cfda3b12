"""Builds a deb and an rpm of credbroker for machines like this one: `build.py FOLDER`.

Both hold the same tree. What credbroker imports lies with it below /usr/lib/credbroker, each part
checked against its recorded hash, in an environment of its own: nothing of it is seen by other
programs, and nothing that a site installs changes it. Wheels are taken that run with the C library of
EL9. Nothing is started, and nobody's settings are touched, when a package is installed.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from credbroker import __version__
from credbroker.zipapp import build as build_pyz

HERE = Path(__file__).parent
UNITS = HERE.parent
ROOT = UNITS.parent
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = Path("usr/lib/credbroker")
SITE = LIBRARY / "lib" / PYTHON / "site-packages"
DOCS = Path("usr/share/doc/credbroker")
# glibc 2.34 is that of EL9.
_PLATFORMS = [f"manylinux_2_{minor}" for minor in range(34, 16, -1)] + ["manylinux2014"]
_DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
_PROGRAM = f"""\
#!/{LIBRARY}/bin/python -I
import sys
from credbroker.__main__ import main
sys.exit(main())
"""


def main() -> None:
    """Build both packages, or the one whose tools are there; say where they lie."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the packages go")
    folder = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        tree = Path(room) / "tree"
        stage(tree)
        for tool, made in (("dpkg-deb", build_deb), ("rpmbuild", build_rpm)):
            if shutil.which(tool) is None:
                sys.stderr.write(f"{tool} is not here, so its package is not built\n")
                continue
            sys.stdout.write(f"{made(tree, Path(room), folder)}\n")


def stage(tree: Path) -> None:
    """Lay out in `tree` what both packages install."""
    old = os.umask(0o022)
    try:
        _environment(tree)
        _units(tree)
        _pages(tree)
    finally:
        os.umask(old)


def _environment(tree: Path) -> None:
    """Put credbroker and all that it imports into an environment below /usr/lib/credbroker."""
    (tree / SITE).mkdir(parents=True)
    _pip("install", "--target", tree / SITE, "--no-compile", "--only-binary=:all:",
         "--require-hashes", "-r", ROOT / "requirements/run.txt", *_for_el9())  # fmt: skip
    shutil.rmtree(tree / SITE / "bin")  # programs of other projects, which would not start here
    with tempfile.TemporaryDirectory() as wheels:
        _pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT)
        _pip("install", "--target", tree / SITE, "--no-compile", "--no-deps", "--no-index",
             *Path(wheels).glob("*.whl"))  # fmt: skip
    shutil.rmtree(tree / SITE / "bin")
    # Nobody may write there at run time, so each start would compile it all again.
    compileall.compile_dir(
        tree / SITE, quiet=1, stripdir=tree, prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip
    programs = tree / LIBRARY / "bin"
    programs.mkdir()
    (programs / PYTHON).symlink_to(f"/usr/bin/{PYTHON}")
    (programs / "python").symlink_to(PYTHON)
    (tree / LIBRARY / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n"
    )
    _write(tree / "usr/bin/credbroker", _PROGRAM).chmod(0o755)
    build_pyz(tree / "usr/share/credbroker/credbroker.pyz")


def _for_el9() -> list[str]:
    machine = platform.machine()
    tags = [word for one in _PLATFORMS for word in ("--platform", f"{one}_{machine}")]
    return [*tags, "--implementation", "cp", "--python-version", PYTHON.removeprefix("python")]


def _pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *map(str, words)], check=True)  # noqa: S603 - our own words


def _units(tree: Path) -> None:
    """Put the units, and who and what they need, where packages put such files."""
    for unit in UNITS.glob("*.service"):
        _write(tree / "usr/lib/systemd/system" / unit.name, unit.read_text())
    for unit in UNITS.glob("user/*.service"):
        _write(tree / "usr/lib/systemd/user" / unit.name, unit.read_text())
    for kind in ("sysusers", "tmpfiles"):
        text = (UNITS / f"credbroker-{kind}.conf").read_text()
        _write(tree / f"usr/lib/{kind}.d/credbroker.conf", text)


def _pages(tree: Path) -> None:
    """Add what people read, and what their shells do."""
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "docs/openbao-policy.hcl"):
        _write(tree / DOCS / Path(name).name, (ROOT / name).read_text())
    _write(tree / DOCS / "settings.yaml", _said("config", "example"))
    for page in sorted((ROOT / "dist/man").rglob("*.1")):
        target = tree / "usr/share/man/man1" / f"{page.name}.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(page.read_bytes(), mtime=0))
    for shell, place in (
        ("bash", "bash-completion/completions/credbroker"),
        ("zsh", "zsh/site-functions/_credbroker"),
        ("fish", "fish/vendor_completions.d/credbroker.fish"),
    ):
        _write(tree / "usr/share" / place, _said("completion", shell))


def _said(*words: str) -> str:
    command = [sys.executable, "-m", "credbroker", *words]
    return subprocess.run(  # noqa: S603 - our own words
        command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ).stdout


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def build_deb(tree: Path, room: Path, folder: Path) -> Path:
    """Return the deb of `tree`, in `folder`."""
    own = room / "deb"
    shutil.copytree(tree, own, symlinks=True)
    machine = _DEBIAN_NAMES.get(platform.machine(), platform.machine())
    size = sum(one.lstat().st_size for one in own.rglob("*")) // 1024
    facts = {"@VERSION@": __version__, "@ARCH@": machine, "@PYTHON@": PYTHON, "@SIZE@": str(size)}
    for file in (HERE / "debian").iterdir():
        text = file.read_text()
        for written, fact in facts.items():
            text = text.replace(written, fact)
        _write(own / "DEBIAN" / file.name, text).chmod(0o644 if file.name == "control" else 0o755)
    made = folder / f"credbroker_{__version__}_{machine}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", own, made)
    return made


def build_rpm(tree: Path, room: Path, folder: Path) -> Path:
    """Return the rpm of `tree`, in `folder`."""
    listed = _write(room / "listed", "\n".join(_files_of(tree)))
    facts = {
        "_topdir": room / "rpm", "_dbpath": room / "rpmdb", "tree": tree, "listed": listed,
        "python": PYTHON, "version_of": __version__,
    }  # fmt: skip
    defined = [word for name, fact in facts.items() for word in ("--define", f"{name} {fact}")]
    _run("rpmbuild", "-bb", "--quiet", *defined, HERE / "credbroker.spec")
    (made,) = (room / "rpm/RPMS").rglob("*.rpm")
    return Path(shutil.copy(made, folder))


def _files_of(tree: Path) -> list[str]:
    """Return the folders that are the package's alone, and each file elsewhere."""
    own = [str(LIBRARY), "usr/share/credbroker", str(DOCS)]
    files = sorted(str(one.relative_to(tree)) for one in tree.rglob("*") if not one.is_dir())
    others = [one for one in files if not one.startswith(tuple(f"{name}/" for name in own))]
    return [f"/{one}" for one in [*own, *others]]


def _run(*words: str | Path) -> None:
    subprocess.run(  # noqa: S603 - our own words
        list(map(str, words)), check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
