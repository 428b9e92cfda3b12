"""Runs targets: here, on inputs that are given; or in a process of its own, under atheris.

libFuzzer ends its process at the first finding and keeps the input in a file, so each target has a
process, and what was found is looked at again by the file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import credbroker
from tests.fuzz.mutator import mutator
from tests.fuzz.seeds import TRICKS, opened, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST_INPUT_BYTES = 4096
SLOWEST_SECONDS = 20
# Watched is whatever reads what came; to watch a module costs time at every start.
_WATCHED = {"admin", "api", "domain", "issuers", "stores", "wire"}
_CODE = Path(credbroker.__file__).parent
_FIGURES = re.compile(
    r"#(\d+)\s.*?cov: (\d+) ft: (\d+) corp: (\d+).*?(?:exec/s: (\d+))?", re.DOTALL
)


def missing() -> str:
    """Say what a fuzzing run lacks on this machine; empty if nothing."""
    if importlib.util.find_spec("atheris") is None:
        return (
            "Fuzzing needs atheris, which has wheels for Python 3.11 to 3.13 on Linux x86_64 only;"
            " the seeds are looked at by the tests all the same."
        )
    return ""


def look_again(target: str, files: Sequence[Path]) -> int:
    """Give each file to the target; print what is found and return 1 if anything is."""
    found = 0
    with opened(target) as one:
        for file in files:
            try:
                one(file.read_bytes())
            except Exception:  # noqa: BLE001 - whatever it is, is a finding
                found += 1
                print(f"{file}: {traceback.format_exc()}")
    return 1 if found else 0


def fuzz_here(target: str, engine: Sequence[str], findings: Path, plant: str | None) -> NoReturn:
    """Hand this process to libFuzzer, until it has run enough or found something."""
    import atheris

    with atheris.instrument_imports(include=["credbroker"], exclude=_left_out()):
        importlib.import_module(f"tests.fuzz.{target}")
    if plant is not None:
        from tests.fuzz.planted import FAULTS

        FAULTS[plant].put()
    with opened(target) as one:

        def kept(text: bytes) -> None:
            try:
                one(text)
            except Exception:
                name = hashlib.sha256(text).hexdigest()[:16]
                (findings / f"finding-{name}").write_bytes(text)
                raise

        def by_itself(text: bytes, most: int) -> bytes:
            return bytes(atheris.Mutate(text, most))  # another function once libFuzzer runs

        atheris.Setup([sys.argv[0], *engine], kept, custom_mutator=mutator(by_itself))
        atheris.Fuzz()
    sys.exit(0)


def _left_out() -> list[str]:
    """Name the modules that atheris is not to watch."""
    paths = [path.relative_to(_CODE.parent).with_suffix("") for path in _CODE.rglob("*.py")]
    return [".".join(path.parts) for path in paths if path.parts[1] not in _WATCHED]


@dataclass(frozen=True)
class Run:
    """A bounded run of one target: the same seed gives the same inputs."""

    target: str
    count: int
    seed: int
    findings: Path
    plant: str | None = None

    def go(self, say: Callable[[str], None]) -> bool:
        """Run it and say how it went; False if something was found."""
        self.findings.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            for number, text in enumerate(texts_of(self.target)):
                Path(folder, f"{number:04}").write_bytes(text)
            done = subprocess.run(
                self._words(folder), env=_environment(), capture_output=True, text=True, check=False,
                errors="replace",
            )  # fmt: skip
        figures = _FIGURES.findall(done.stderr)
        if done.returncode == 0 and figures:
            runs, covered, features, kept, _ = figures[-1]
            say(f"{self.target}: {runs} inputs, {covered} places, {features} features, {kept} kept")
            return True
        say(done.stdout[-6000:] + done.stderr[-6000:])
        say(
            f"{self.target}: something was found; its input is in {self.findings}. Look again with:"
            f" python -m tests.fuzz {self.target} FILE"
        )
        return False

    def _words(self, seeds: str) -> list[str]:
        planted = ["--plant", self.plant] if self.plant else []
        return [
            sys.executable, "-m", "tests.fuzz", self.target, "--alone", *planted,
            "--findings", str(self.findings), "--engine",
            f"-runs={self.count}", f"-seed={self.seed}", f"-max_len={LONGEST_INPUT_BYTES}",
            f"-timeout={SLOWEST_SECONDS}", "-rss_limit_mb=2048", "-len_control=0",
            f"-dict={TRICKS}", f"-artifact_prefix={seeds}/", seeds,
        ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": os.defpath, "PYTHONHASHSEED": "0"}
