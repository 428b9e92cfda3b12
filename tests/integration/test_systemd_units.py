"""systemd's own judgement of the units that come with the broker, by `systemd-analyze`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from credbroker import daemon
from credbroker.config.load import DEFAULT_FOLDER

UNITS = Path(__file__).parents[2] / "systemd"
MOST_EXPOSURE = 15  # tenths of a point; a service that is left open has 96

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing; apt-get install systemd",
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy of the service whose program exists on every machine."""
    copy = tmp_path / "credbroker.service"
    text = (UNITS / "credbroker.service").read_text()
    copy.write_text(changed(text, "ExecStart=/usr/bin/credbroker ", "ExecStart=/bin/true "))
    return copy


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with its one `old` replaced."""
    assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
    return text.replace(old, new)


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program that asks nothing, and return what it said."""
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


def complaints(unit: Path) -> str:
    """Return what `verify` finds; an unknown key is only a warning there, with exit status 0."""
    verdict = run("systemd-analyze", "verify", unit)
    return verdict.stderr or ("" if verdict.returncode == 0 else f"exit {verdict.returncode}")


def is_shut_in(unit: Path) -> bool:
    """Whether `security` finds the service exposed no more than `MOST_EXPOSURE`."""
    threshold = f"--threshold={MOST_EXPOSURE}"
    verdict = run(
        "systemd-analyze", "security", "--offline=yes", "--json=short", threshold, unit
    )  # fmt: skip
    assert verdict.stdout.startswith("["), verdict.stderr
    return verdict.returncode == 0


def test_systemd_knows_every_line_of_the_service(unit: Path) -> None:
    """`verify` has nothing to say."""
    assert complaints(unit) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LimitCORE=", "LimitCores="),
        ("TimeoutStopSec=180", "TimeoutStopSec=soon"),
        ("ExecStart=/bin/true ", "ExecStart=/nowhere/true "),
    ],
)
def test_a_mistake_in_the_service_is_seen(unit: Path, old: str, new: str) -> None:
    """A misspelt key, a wrong value and a missing program each make `verify` speak."""
    unit.write_text(changed(unit.read_text(), old, new))
    assert complaints(unit)


def test_the_service_is_well_shut_in(unit: Path) -> None:
    """`security` finds little that the service could do to the rest of the machine."""
    assert is_shut_in(unit)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CapabilityBoundingSet=\n", ""),
        ("User=credbroker", "User=root"),
        ("SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\n", ""),
    ],
)
def test_a_weaker_service_is_seen(unit: Path, old: str, new: str) -> None:
    """Capabilities, root, or every system call let `security` raise the exposure."""
    unit.write_text(changed(unit.read_text(), old, new))
    assert not is_shut_in(unit)


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "RestartPreventExitStatus=2",
        "LimitCORE=0",
        "MemorySwapMax=0",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "UMask=0077",
    ],
)
def test_the_service_keeps_what_the_promises_lean_on(line: str) -> None:
    """What a score cannot see, or weighs too little, is there by its letter."""
    assert line in (UNITS / "credbroker.service").read_text().splitlines()


def test_the_service_runs_serve_with_the_settings_in_their_usual_place() -> None:
    """The command is one that the broker takes."""
    lines = (UNITS / "credbroker.service").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("ExecStart=")]
    program, command, *words = line.partition("=")[2].split()
    parser = argparse.ArgumentParser()
    daemon.add_arguments(parser)
    assert (program, command) == ("/usr/bin/credbroker", "serve")
    assert parser.parse_args(words).config == DEFAULT_FOLDER


def test_secrets_reach_the_service_by_file_only() -> None:
    """Every secret comes by `LoadCredential`, from root's own folder, and none stands in the unit."""
    lines = (UNITS / "credbroker.service").read_text().splitlines()
    loaded = [line.partition("=")[2] for line in lines if line.startswith("LoadCredential=")]
    assert loaded == [
        f"{name}:/etc/credbroker/secrets/{name}" for name in ("role-id", "secret-id", "tls-key")
    ]
    assert not [line for line in lines if line.startswith(("SetCredential", "Environment"))]


def test_the_user_of_the_service_cannot_log_in(tmp_path: Path) -> None:
    """`systemd-sysusers` makes the user that the service names, without a shell."""
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "credbroker-sysusers.conf")
    assert made.returncode == 0, made.stderr
    name, *_, shell = (tmp_path / "etc/passwd").read_text().strip().split(":")
    assert f"User={name}" in (UNITS / "credbroker.service").read_text().splitlines()
    assert shell.endswith("/nologin")
