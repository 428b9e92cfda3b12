"""systemd's own judgement of the units that come with the broker, by `systemd-analyze`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from credbroker import daemon
from credbroker.broker.containing import PATIENCE_SECONDS, READ_SECONDS
from credbroker.config.load import DEFAULT_FOLDER
from credbroker.edge import agent, engine
from credbroker.edge.condor import command as credmon
from credbroker.edge.sessions import settings

UNITS = Path(__file__).parents[2] / "systemd"
# The most points of exposure that each may have; a service that is left open has 9.6. What a person's
# own systemd can take away is little: it is not root.
MOST_EXPOSURE = {
    "credbroker.service": 1.3,
    "credbroker-credmon.service": 2.0,
    "credbroker-agent@.service": 2.8,
    "credbroker-sessions.service": 2.4,
    "user/credbroker-agent.service": 6.5,
}
NAMES = tuple(MOST_EXPOSURE)
SYSTEM = tuple(name for name in NAMES if not name.startswith("user/"))

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing; apt-get install systemd",
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy of the broker's service whose program exists on every machine."""
    return copied("credbroker.service", tmp_path)


def copied(name: str, folder: Path) -> Path:
    """Copy a unit, with a program that exists on every machine; a template gets an instance."""
    kept = folder / "user" if name.startswith("user/") else folder
    kept.mkdir(exist_ok=True)
    copy = kept / Path(name).name.replace("@.", "@one.")
    text = (UNITS / name).read_text()
    copy.write_text(changed(text, "ExecStart=/usr/bin/credbroker ", "ExecStart=/bin/true "))
    return copy


def lines_of(name: str) -> list[str]:
    """Return a unit's lines."""
    return (UNITS / name).read_text().splitlines()


def value(name: str, key: str) -> str:
    """Return what a unit sets `key` to, the one time that it does."""
    (found,) = [line.partition("=")[2] for line in lines_of(name) if line.startswith(f"{key}=")]
    return found


def changed(text: str, old: str, new: str) -> str:
    """Return `text` with its one `old` replaced."""
    assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
    return text.replace(old, new)


def run(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program that asks nothing, and return what it said."""
    return subprocess.run(
        words, capture_output=True, text=True, timeout=30, check=False, env=os.environ | environ
    )


def complaints(unit: Path) -> str:
    """Return what `verify` finds; an unknown key is only a warning there, with exit status 0."""
    whose = "--user" if unit.parent.name == "user" else "--system"
    verdict = run("systemd-analyze", "verify", whose, unit, XDG_RUNTIME_DIR=str(unit.parent))
    return verdict.stderr or ("" if verdict.returncode == 0 else f"exit {verdict.returncode}")


def exposure(unit: Path) -> float:
    """Return how many points of exposure `security` gives the service."""
    verdict = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
    (line,) = [line for line in verdict.stdout.splitlines() if "Overall exposure level" in line]
    return float(line.split(":")[1].split()[0])


@pytest.mark.parametrize("name", NAMES)
def test_systemd_knows_every_line_of_a_unit(name: str, tmp_path: Path) -> None:
    """`verify` has nothing to say."""
    assert complaints(copied(name, tmp_path)) == ""


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


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_well_shut_in(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`security` finds little that the service could do to the rest of the machine."""
    found = exposure(copied(name, tmp_path))
    with capsys.disabled():
        print(f"\n{name}: {found} points of exposure, at most {MOST_EXPOSURE[name]}")
    assert found <= MOST_EXPOSURE[name]


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
    assert exposure(unit) > MOST_EXPOSURE["credbroker.service"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        "UMask=0077",
        "Restart=on-failure",
        "StartLimitIntervalSec=0",
    ],
)
def test_every_service_keeps_what_the_promises_lean_on(name: str, line: str) -> None:
    """What a score cannot see, or weighs too little, is there by its letter."""
    assert line in lines_of(name)


@pytest.mark.parametrize("name", SYSTEM)
@pytest.mark.parametrize("line", ["MemorySwapMax=0", "ProtectSystem=strict"])
def test_every_system_service_keeps_secrets_in_memory_and_writes_where_it_may(
    name: str, line: str
) -> None:
    """No swap, and a machine that is read-only but for what is named."""
    assert line in lines_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_settings_are_not_tried_again(name: str) -> None:
    """Exit status 2 says that a person must mend them first."""
    assert "2" in value(name, "RestartPreventExitStatus").split()


def test_what_is_in_flight_when_the_broker_is_stopped_has_time_to_be_stored() -> None:
    """The wait is longer than a refresh and its storing take."""
    assert value("credbroker.service", "TimeoutStopSec") == "180"


def test_no_round_of_the_broker_is_as_long_as_a_third_of_its_watchdogs_patience() -> None:
    """However long OpenBao/Vault hangs; a keeper's pass waits for nobody."""
    longest = PATIENCE_SECONDS + 1.25 * READ_SECONDS
    assert longest < int(value("credbroker.service", "WatchdogSec")) / 3


@pytest.mark.parametrize("name", [name for name in NAMES if name != "credbroker.service"])
def test_the_edge_passes_more_often_than_its_watchdog_looks(name: str) -> None:
    """A pass waits for no server and no disk."""
    assert int(value(name, "WatchdogSec")) / 3 > engine.SLICE_SECONDS


def test_the_service_runs_serve_with_the_settings_in_their_usual_place() -> None:
    """The command is one that the broker takes."""
    program, command, *words = value("credbroker.service", "ExecStart").split()
    parser = argparse.ArgumentParser()
    daemon.add_arguments(parser)
    assert (program, command) == ("/usr/bin/credbroker", "serve")
    assert parser.parse_args(words).config == DEFAULT_FOLDER


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("credbroker-agent@.service", {"list": "/etc/credbroker/agent/%i.yaml"}),
        ("user/credbroker-agent.service", {"list": "%E/credbroker/agent.yaml"}),
        (
            "credbroker-sessions.service",
            {"sessions": True, "settings": str(settings.DEFAULT_FILE)},
        ),
    ],
)
def test_the_agents_services_run_commands_that_the_agent_takes(
    name: str, said: dict[str, object]
) -> None:
    """Each with its own kind of places."""
    program, command, *words = value(name, "ExecStart").split()
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    parsed = vars(parser.parse_args(words))
    assert (program, command) == ("/usr/bin/credbroker", "agent")
    assert {key: parsed[key] for key in said} == said


def test_the_credmons_service_runs_a_command_that_it_takes() -> None:
    """It leaves to the other credmon what is that one's, and serves what the operator names."""
    _, command, *words = value("credbroker-credmon.service", "ExecStart").split()
    parser = argparse.ArgumentParser()
    credmon.add_arguments(parser)
    parsed = parser.parse_args([word.replace("${PROVIDERS}", "cms,dune") for word in words])
    assert (command, parsed.alongside, parsed.providers) == ("credmon", True, {"cms", "dune"})


def loaded(name: str) -> list[str]:
    """Return the credentials that a unit loads."""
    lines = lines_of(name)
    return [line.partition("=")[2] for line in lines if line.startswith("LoadCredential=")]


def test_secrets_reach_the_services_by_file_only() -> None:
    """Every secret comes by `LoadCredential`, from root's own folder, and none stands in a unit."""
    assert loaded("credbroker.service") == [
        f"{name}:/etc/credbroker/secrets/{name}" for name in ("role-id", "secret-id", "tls-key")
    ]
    assert loaded("credbroker-agent@.service") == ["lease:/etc/credbroker/agent/%i.lease"]
    for name in NAMES:
        spoken = ("SetCredential", "Environment=")
        assert not [line for line in lines_of(name) if line.startswith(spoken)]


def test_the_user_of_the_service_cannot_log_in(tmp_path: Path) -> None:
    """`systemd-sysusers` makes the user that the service names, without a shell."""
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", UNITS / "credbroker-sysusers.conf")
    assert made.returncode == 0, made.stderr
    name, *_, shell = (tmp_path / "etc/passwd").read_text().strip().split(":")
    assert f"User={name}" in lines_of("credbroker.service")
    assert shell.endswith("/nologin")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving folders their owner takes root")
def test_the_folder_of_secrets_is_roots_alone(tmp_path: Path) -> None:
    """`systemd-tmpfiles` makes the folders of the settings; only one of them is shut."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    made = run(
        "systemd-tmpfiles", "--create", f"--root={tmp_path}", UNITS / "credbroker-tmpfiles.conf"
    )
    assert made.returncode == 0, made.stderr
    modes = {
        one.name: one.stat().st_mode & 0o777 for one in (tmp_path / "etc/credbroker").iterdir()
    }
    assert modes == {"config.d": 0o755, "agent": 0o755, "secrets": 0o700}
