"""AUDITOR's collector for HTCondor, unmodified, records whose token a job came with.

The settings of both sides are those of docs/neighbours/auditor.md. The job's record is written here, as
an HTCondor CE writes it from the claims of a token.
"""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.private_files import write_private
from tests.interop.neighbours.issuer_world import opened
from tests.interop.neighbours.pages import block, communities, put
from tests.interop.neighbours.venvs import venv
from tests.interop.site import bare_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.interop.neighbours.conftest import OpenIssuer
    from tests.interop.neighbours.issuer_world import IssuerWorld

# Installing the collector counts towards the first test's time.
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(120)]

PAGE = "auditor.md"
EXAMPLE_URL = "https://tokens.example.org:8200/dteam/"
CE, ROLE = "ce.example.org:9619", "/dteam/Role=pilot"
ALL_COMPUTE = "compute.read compute.create compute.modify compute.cancel"
RUN_SECONDS = 60
FINISHED = 1_790_000_000

# Prints the attributes that are asked for behind `-af:,` as HTCondor's own command does.
HISTORY = """#!{python}
import itertools, json, sys
with open({job!r}) as file:
    job = json.load(file)
asked = sys.argv[sys.argv.index("-af:,") + 1 :]
names = itertools.takewhile(lambda word: not word.startswith("-"), asked)
print(", ".join(str(job.get(name, "undefined")) for name in names))
"""


@pytest.fixture(scope="module")
def issuer(open_issuer: OpenIssuer) -> IssuerWorld:
    """The broker as the page sets it up."""
    return open_issuer(communities(PAGE)["dteam"])


@pytest.fixture
def records() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """An AUDITOR server's door on loopback: its port, and the records that came."""
    came: list[dict[str, Any]] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1], came
    server.shutdown()
    thread.join()
    server.server_close()


def job_of(claims: Mapping[str, Any]) -> dict[str, object]:
    """Return the record of a finished job that came with a token."""
    return {
        "GlobalJobId": "schedd.example.org#17.0#1789990000",
        "ClusterId": 17,
        "ProcId": 0,
        "LastMatchTime": FINISHED - 600,
        "CompletionDate": FINISHED,
        "CpusProvisioned": 8,
        "orig_AuthTokenIssuer": claims["iss"],
        "orig_AuthTokenSubject": claims["sub"],
        "orig_AuthTokenId": claims["jti"],
    }


def collect(folder: Path, issuer_url: str, port: int, job: Mapping[str, object]) -> None:
    """Have the collector look once at a schedd where one job has finished."""
    python = venv("auditor")
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    history = folder / "condor_history"
    write_private(history, HISTORY.format(python=python, job=str(file)).encode())
    history.chmod(0o700)
    names = {
        EXAMPLE_URL: issuer_url,
        "auditor.example.org": "127.0.0.1",
        "port: 8000": f"port: {port}",
        "/var/lib/auditor/htcondor-collector.db": str(folder / "state.db"),
    }
    settings = folder / "collector.yml"
    settings.write_text(put(block(PAGE, "# /etc/auditor"), names))
    environment = bare_environment()
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    ended = subprocess.run(
        [python.parent / "auditor-htcondor-collector", "--config", settings, "--one-shot"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert "Added 1 records." in ended.stdout, ended.stdout


def test_a_jobs_record_leads_to_the_line_of_our_trail(
    issuer: IssuerWorld, records: tuple[int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """By the token's `jti`; and the subject is what the site accounts the job to."""
    port, came = records
    claims = opened(issuer.token("pilots", ALL_COMPUTE, CE))[1]
    collect(tmp_path, issuer.url, port, job_of(claims))
    (meta,) = [record["meta"] for record in came]
    assert (meta["issuer"], meta["subject"]) == ([issuer.url], ["pilots"])
    assert meta["voms"] == [ROLE]
    (jti,) = meta["token"]
    (line,) = [one for one in issuer.audit_lines() if one.get("jti") == jti]
    assert (line["event"], line["client_id"]) == ("sign", "pilots")


def test_the_same_subject_of_another_issuer_is_accounted_to_nobody_here(
    issuer: IssuerWorld, records: tuple[int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Whoever else signs for somebody called `pilots`."""
    port, came = records
    claims = {**opened(issuer.token("pilots", ALL_COMPUTE, CE))[1], "iss": "https://other.example/"}
    collect(tmp_path, issuer.url, port, job_of(claims))
    assert [record["meta"].get("voms") for record in came] == [None]
