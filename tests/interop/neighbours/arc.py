"""A real ARC CE, set up as docs/neighbours/arc-ce.md says.

- Its two services are started by its own scripts, in a mount namespace in which the folders that they
  write to, and those that they trust, are this test's.
- It listens on a loopback address: its script, which knows of none, is told one.
- Its services leave their parents; each is ended by the id in its own file.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.interop.neighbours.pages import block, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credbroker.demo.certificates import Authority

PAGE = "arc-ce.md"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.2
_SCRIPTS = Path("/usr/share/arc")
_SERVICES = ("arex", "arex-ws")
# Where ARC looks and writes when nothing else is set, and what of the test's folder lies there.
_BOUND = {
    "grid-security": "/etc/grid-security",
    "arc.conf": "/etc/arc.conf",
    "spool": "/var/spool/arc",
    "log": "/var/log",
    "run": "/run",
}
_JOB = """<?xml version="1.0" encoding="UTF-8"?>
<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl">
  <Application>
    <Executable><Path>/bin/sh</Path><Argument>-c</Argument><Argument>{line}</Argument></Executable>
    <Output>out</Output>
  </Application>
  <DataStaging><OutputFile><Name>out</Name></OutputFile></DataStaging>
</ActivityDescription>
"""


def missing_program() -> str | None:
    """Return a sentence about what has to be there first, or None."""
    if not (_SCRIPTS / "arc-arex-ws-start").exists():
        return "ARC is not there; install the package nordugrid-arc-arex, then run this again."
    if os.geteuid() != 0:
        return "ARC gives its jobs to another account; run this as root."
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "unshare -m is not allowed here; allow it."


@dataclass(frozen=True, slots=True)
class Reply:
    """What the CE answered."""

    status: int
    body: bytes


class ArcCe:
    """One CE, which runs jobs on this machine.

    Attributes:
        folder: All that it reads and writes.
        audience: How tokens name it; also where it answers.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Take a port, and make what it needs below `folder`, which exists; nothing runs yet."""
        self.folder = folder
        self.audience = f"https://localhost:{free_port(SystemEntropy())}"
        self._trust = ssl.create_default_context(cafile=str(authority.ca_file))
        self._clock = SystemClock()
        for made in ("grid-security/certificates", "spool/jobstatus", "log", "run"):
            (folder / made).mkdir(parents=True)
        _be_trusted(folder / "grid-security", authority)
        _write_group(folder / "spool" / "jobstatus" / "dhparam.pem")

    def trust(self, issuer_url: str) -> None:
        """Write the page's settings, with this issuer in them."""
        names = {
            "hostname = ce.example.org": "hostname = localhost",
            "https://ce.example.org": self.audience,
            "https://tokens.example.org:8200/dteam/": issuer_url,
            "pilot:pilot": "nobody:nogroup",
            "[arex]\n": "[arex]\nwakeupperiod = 2\n",
        }
        (self.folder / "arc.conf").write_text(put(block(PAGE, "# /etc/arc.conf"), names))

    def start(self) -> None:
        """Start both services; afterwards it answers."""
        for name, script in zip(_SERVICES, _start_scripts(), strict=True):
            binds = [
                f"mount --bind {self.folder / ours} {theirs}" for ours, theirs in _BOUND.items()
            ]
            ended = subprocess.run(
                ["unshare", "-m", "bash", "-ec", "\n".join([*binds, script])],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=START_SECONDS,
                check=False,
            )
            assert ended.returncode == 0, (name, ended.stdout)
        self.until(self._answers, "the CE does not answer")

    def close(self) -> None:
        """End both services, and what they have begun, in good order if they can."""
        running = [pid for name in _SERVICES for pid in self._pid(name)]
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        ends = self._clock.elapsed() + STOP_SECONDS
        while running and self._clock.elapsed() < ends:
            self._clock.block(_POLL_SECONDS)
            running = [pid for pid in running if _runs(pid)]
        for pid in running:
            os.kill(pid, signal.SIGKILL)

    def ask(
        self, method: str, path: str, token: str | None = None, body: str | None = None
    ) -> Reply:
        """Send one request to its REST interface; jobs are described in XML, all else in JSON."""
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = f"application/{'xml' if body.startswith('<') else 'json'}"
        host = self.audience.removeprefix("https://")
        with closing(
            http.client.HTTPSConnection(host, context=self._trust, timeout=START_SECONDS)
        ) as door:
            door.request(method, f"/arex/rest/1.0{path}", body, headers)
            answer = door.getresponse()
            return Reply(answer.status, answer.read())

    def submit(self, token: str, line: str) -> str:
        """Submit a job that runs one line of shell; return the job's id."""
        reply = self.ask("POST", "/jobs?action=new", token, _JOB.format(line=line))
        assert reply.status == 201, reply
        job: dict[str, Any] = json.loads(reply.body)["job"]
        assert job["status-code"] == "201", job
        return str(job["id"])

    def finished(self, token: str) -> bytes:
        """Return what it tells about finished jobs."""
        return self.ask("GET", "/jobs?state=FINISHED", token).body

    def accounted_to(self, job: str) -> str:
        """Return whom the job belongs to in the accounting."""
        records = self.folder / "spool" / "jobstatus" / "accounting" / "accounting.db"
        found = "SELECT Users.Name FROM AAR JOIN Users ON AAR.UserID = Users.ID WHERE AAR.JobID = ?"
        with closing(sqlite3.connect(records)) as book:
            ((name,),) = book.execute(found, (job,)).fetchall()
        return str(name)

    def until(self, found: Callable[[], object], complaint: str) -> None:
        """Wait until `found` gives something true."""
        ends = self._clock.elapsed() + START_SECONDS
        while self._clock.elapsed() < ends:
            if found():
                return
            self._clock.block(_POLL_SECONDS)
        raise AssertionError(f"After {START_SECONDS:.0f} s {complaint}; see {self.folder}/log/arc")

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/info").status in (200, 403)
        except OSError:
            return False

    def _pid(self, name: str) -> list[int]:
        file = self.folder / "run" / f"arched-{name}.pid"
        return [int(file.read_text())] if file.exists() else []


def _start_scripts() -> Iterator[str]:
    plain, web = (_SCRIPTS / f"arc-{name}-start" for name in _SERVICES)
    yield str(plain)
    listen = "<tcp:Listen>"
    yield f"sed 's#{listen}#{listen}<tcp:Interface>127.0.0.1</tcp:Interface>#' {web} | bash"


def _be_trusted(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("ce", folder)
    certificate.rename(folder / "hostcert.pem")
    key.rename(folder / "hostkey.pem")
    trusted = folder / "certificates"
    shutil.copy(authority.ca_file, trusted)
    subprocess.run(["openssl", "rehash", str(trusted)], check=True, capture_output=True)


def _write_group(file: Path) -> None:
    # The CE would be at it for minutes.
    words = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe4096"]
    write_private(file, subprocess.run(words, check=True, capture_output=True).stdout)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
