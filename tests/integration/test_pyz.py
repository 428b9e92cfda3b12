"""`credbroker.pyz`, run as on a worker node: under every Python from 3.9 on that is here.

The broker is a fake one behind real TLS; the interpreters run isolated and without site packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import credbroker
from credbroker import __version__
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from credbroker.zipapp import LEFT_OUT, build
from tests.fakes.broker import FakeBroker, ServedBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = (3, 9)
LARGEST_BYTES = 500_000
MOST_KILOBYTES = 35 * 1024

# Runs the archive as `python archive` does, then tells what was loaded that is neither part of
# Python nor of credbroker.
WATCHED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as left:
    code = left.code
known = getattr(sys, "stdlib_module_names", None)
roots = {name.partition(".")[0] for name in sys.modules}
strange = sorted(roots - set(known or roots) - {"credbroker", "__main__"})
places = [getattr(one, "__file__", None) or "" for one in list(sys.modules.values())]
strange += [place for place in places if "site-packages" in place]
print("STRANGE", *strange, file=sys.stderr)
sys.exit(code)
"""


def _candidates() -> Iterator[str]:
    for minor in range(OLDEST[1], 20):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield found
    roots = {os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")}
    for root in sorted(roots - {""}):
        for place in sorted(Path(root).glob("versions/*/bin/python")):
            yield str(place)


def _version(python: str) -> tuple[int, ...] | None:
    """Return the version if this is a CPython of at least the oldest that starts at all."""
    tell = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
    done = subprocess.run(
        [python, "-I", "-S", "-c", tell], check=False, capture_output=True, text=True
    )
    match = re.fullmatch(r"cpython (\d+) (\d+)\n", done.stdout)
    version = tuple(int(part) for part in match.groups()) if match else ()
    return version if done.returncode == 0 and version >= OLDEST else None


def _pythons() -> dict[str, str]:
    """Return one interpreter per version, the running one among them."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for python in _candidates():
        version = _version(python)
        if version:
            found.setdefault(".".join(map(str, version)), python)
    return dict(sorted(found.items(), key=lambda one: int(one[0].partition(".")[2])))


PYTHONS = _pythons()


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive."""
    target = tmp_path_factory.mktemp("pyz") / "dist" / "credbroker.pyz"
    build(target)
    return target


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each interpreter in turn."""
    return PYTHONS[request.param]


class Node:
    """A machine with the archive, one interpreter, and a broker to ask."""

    def __init__(self, python: str, pyz: Path, folder: Path) -> None:
        """Start the broker; files go to `folder`."""
        authority = make_authority(folder, SystemClock())
        certificate, key = authority.issue("broker", folder)
        self.fake = FakeBroker(SystemClock())
        self.served = ServedBroker(self.fake, certificate, key)
        self.folder = folder
        self.command = [python, "-I", "-S", str(pyz)]
        self.watched = [python, "-I", "-S", "-c", WATCHED, str(pyz)]
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "CREDBROKER_URL": self.served.url,
            "CREDBROKER_CA_FILE": str(authority.ca_file),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, and see that nothing foreign was loaded."""
        done = subprocess.run(
            [*self.watched, *arguments],
            check=False,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stderr.splitlines()[-1] == "STRANGE", done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command and return at once."""
        return subprocess.Popen(
            [*self.command, *arguments], env=self.environ, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture
def node(python: str, pyz: Path, tmp_path: Path) -> Iterator[Node]:
    """A worker node with a broker near by."""
    node = Node(python, pyz, tmp_path)
    yield node
    node.served.stop()


def test_the_archive_is_small_reproducible_and_executable(pyz: Path, tmp_path: Path) -> None:
    """The same sources give the same bytes; only the rooms that may be in it are."""
    build(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()
    assert pyz.stat().st_size <= LARGEST_BYTES
    assert os.access(pyz, os.X_OK)
    assert pyz.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(pyz) as archive:
        names = set(archive.namelist())
    rooms = {name.split("/")[1] for name in names if name.count("/") == 2}
    assert rooms == {"cli", "client", "delivery", "domain", "edge", "host", "wire"}
    assert not names & {f"credbroker/{one}" for one in LEFT_OUT}
    assert all((Path(credbroker.__file__).parent / one).is_file() for one in LEFT_OUT)


@pytest.mark.skipif(
    len(PYTHONS) == 1, reason="no Python of another version is on PATH or under pyenv"
)
def test_the_oldest_python_it_is_made_for_is_tried() -> None:
    """More than the running version is covered here."""
    assert len(PYTHONS) > 1


@pytest.mark.slow
def test_a_person_logs_in_fetches_a_token_looks_and_logs_out(node: Node) -> None:
    """All of it with the standard library alone."""
    assert node.run("--version").stdout == f"credbroker {__version__}\n"
    login = node.run("login")
    assert login.returncode == 0, login.stderr
    assert "Logged in to cms as alice" in login.stderr
    token = node.run("token")
    assert token.stdout == f"{node.folder}/bt_u{os.geteuid()}\n"
    held = Path(token.stdout.strip())
    assert held.read_text() == node.fake.given[0].access_token.reveal()
    status = node.run("status", "--json")
    assert [row["state"] for row in json.loads(status.stdout)] == ["ready"]
    logout = node.run("logout")
    assert logout.returncode == 0, logout.stderr
    assert not held.exists()
    assert node.run("token").returncode == 4


@pytest.mark.slow
def test_a_person_runs_a_program_with_a_token_that_is_kept_fresh(node: Node) -> None:
    """The program's exit code is the answer; what was written beside it is gone."""
    assert node.run("exec", "--", "true").returncode == 4
    show = 'cat "$BEARER_TOKEN_FILE"; exit 7'
    done = node.run("exec", "--login", "--", "sh", "-c", show)
    assert (done.returncode, done.stdout) == (7, node.fake.given[0].access_token.reveal())
    assert "Logged in to cms as alice" in done.stderr
    assert not list(node.folder.glob("credbroker-exec-*"))
    log = node.folder / ".local" / "state" / "credbroker" / "exec.log"
    assert " credbroker-exec: ready " in log.read_text()


@pytest.mark.slow
def test_parts_that_are_not_in_it_say_how_to_get_them(node: Node) -> None:
    """The daemon, the demo and the settings check need the full installation."""
    for name in ("serve", "demo", "config"):
        done = node.run(name)
        assert done.returncode == 2
        assert "is not in this one-file program" in done.stderr


@pytest.mark.slow
def test_an_agent_keeps_a_file_fresh_in_little_memory_and_stops_when_told(node: Node) -> None:
    """Tokens of four seconds are renewed, the lease file may go, SIGTERM is a good end."""
    node.fake.lifetime_seconds = 4
    lease_path, token_path = node.folder / "lease.json", node.folder / "token"
    _write_job_lease(node, lease_path)
    agent = node.start("agent", "--job", str(lease_path), "--token-file", str(token_path))
    try:
        assert agent.stderr is not None
        assert "credbroker-agent: ready " in agent.stderr.readline()
        lease_path.unlink()
        first = token_path.read_text()
        assert "credbroker-agent: renewed " in agent.stderr.readline()
        assert token_path.read_text() != first
        assert _resident_kilobytes(agent.pid) <= MOST_KILOBYTES
        begun = time.monotonic()  # noqa: TID251 - how fast a real process ends
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=10)
        assert time.monotonic() - begun < 2  # noqa: TID251 - as above
    finally:
        agent.kill()
        agent.wait()
    assert agent.returncode == 0
    assert "told to stop" in said
    assert token_path.exists()


@pytest.mark.slow
def test_an_agent_ends_with_its_job_and_with_its_lease(node: Node) -> None:
    """The watched program's end removes the file; a lease that is over leaves it, exit code 4."""
    lease_path, token_path = node.folder / "lease.json", node.folder / "token"
    _write_job_lease(node, lease_path)
    node.environ["BEARER_TOKEN_FILE"] = str(token_path)
    with subprocess.Popen(["sleep", "60"]) as job:
        agent = node.start("agent", "--job", str(lease_path), "--while-pid", str(job.pid))
        assert agent.stderr is not None
        assert "ready" in agent.stderr.readline()
        job.kill()
        _, said = agent.communicate(timeout=10)
    assert (agent.returncode, token_path.exists()) == (0, False), said
    node.fake.ended.update(node.fake.leases)
    done = node.run("agent", "--job", str(lease_path))
    assert done.returncode == 4
    assert "This lease was ended." in done.stderr


@pytest.mark.slow
def test_a_program_runs_under_its_agent_along_one_chain(node: Node) -> None:
    """In an empty folder: the lease file and the archive are all that there is."""
    folder = node.folder / "sandbox"
    folder.mkdir()
    _write_job_lease(node, folder / "lease.json", starts=1)
    show = 'cat "$BEARER_TOKEN_FILE"; exit 7'
    for _ in range(2):
        done = node.run("agent", "--job", str(folder / "lease.json"), "--", "sh", "-c", show)
        assert (done.returncode, done.stdout) == (7, node.fake.given[-1].access_token.reveal())
    assert [verdict.value for verdict in node.fake.verdicts] == ["start", "step"]
    left = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    assert left == [".credbroker/lease.json.state", "lease.json"]
    lists = node.run("agent", "--list", "tokens.yaml")
    assert (lists.returncode, "one-file program" in lists.stderr) == (2, True)


def _write_job_lease(node: Node, path: Path, starts: int | None = None) -> None:
    lease = LeaseFile(
        broker=node.served.url,
        ca_file=node.environ["CREDBROKER_CA_FILE"],
        lease_token=node.fake.new_lease("run42", starts),
        issuer="cms",
        role="default",
        credkey="alice",
        scopes=["storage.read:/a"],
        audiences=["https://dav"],
        lease_ends_at=SystemClock().now().replace(year=2099, day=1, microsecond=0),
        job="run42",
        starts=starts,
    )
    lease_file.write(path, lease, SystemEntropy())


def _resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match.group(1))
