"""The example of a job with an agent beside it is one that a cluster and the agent take."""

from __future__ import annotations

import argparse
import datetime
import subprocess
from typing import TYPE_CHECKING

import yaml

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.edge import agent
from tests.fakes.entropy import FakeEntropy
from tests.integration.chart_world import CHART, Document, invalid, unrestricted
from tests.unit.things import LEASE_TOKEN

if TYPE_CHECKING:
    from pathlib import Path

JOB: Document = yaml.safe_load((CHART / "examples/job-with-agent.yaml").read_text())
POD = JOB["spec"]["template"]["spec"]
PLACES, AGENT = POD["initContainers"]
(PROGRAM,) = POD["containers"]


def test_kubernetes_knows_the_job_and_takes_it_where_pods_are_restricted() -> None:
    """Every container of it; none has a way into the cluster."""
    assert invalid({"Job": JOB}) == []
    assert unrestricted(POD) == []
    assert POD["automountServiceAccountToken"] is False


def test_the_agent_takes_its_command_and_keeps_the_file_that_the_program_reads() -> None:
    """It runs for as long as the program does, which begins once there is a token."""
    program, command, *words = AGENT["command"]
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    given = parser.parse_args(words)
    assert (program, command) == ("credbroker", "agent")
    assert AGENT["restartPolicy"] == "Always"
    (read,) = [one["value"] for one in PROGRAM["env"] if one["name"] == "BEARER_TOKEN_FILE"]
    assert given.token_file == read
    assert AGENT["startupProbe"]["exec"]["command"] == ["test", "-s", read]
    for container in (PLACES, AGENT, PROGRAM):
        assert any(read.startswith(one["mountPath"]) for one in container["volumeMounts"])


def test_the_lease_gets_a_place_that_agents_take_for_private(tmp_path: Path) -> None:
    """Out of a Secret that a group may read, in a volume that everybody may write; twice, if need be."""
    secret, run = tmp_path / "secret", tmp_path / "run"
    secret.mkdir()
    run.mkdir()
    run.chmod(0o777)
    ends_at = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    shown = LEASE_TOKEN.text()
    lease = LeaseFile("https://b.test", shown, "cms", "default", "ada", ["openid"], ends_at)
    lease_file.write(secret / "lease.json", lease, FakeEntropy())
    (secret / "lease.json").chmod(0o440)
    *shell, script = PLACES["command"]
    script = script.replace("/etc/credbroker/lease", str(secret)).replace(
        "/run/credbroker", str(run)
    )
    for _ in range(2):
        subprocess.run([*shell, script], check=True)
    assert lease_file.read(run / "job/lease.json") == lease
    assert (run / "job").stat().st_mode & 0o777 == 0o700
    assert AGENT["command"][3] == "/run/credbroker/job/lease.json"
