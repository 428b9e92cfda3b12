"""One request has one id, from a person's terminal to the issuer's log."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import re
import sys
from typing import TYPE_CHECKING

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.demo.issuer import faults
from credbroker.domain.secret import Secret
from credbroker.host.entropy import SystemEntropy
from credbroker.telemetry.tracing import Followed, Selection, Trace
from tests.integration.broker_world import ROLE_SCOPES

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld, Served

WISH = "storage.create:/"
IN_MESSAGE = re.compile(r"\(request ([A-Za-z0-9_-]+)\)")


async def test_the_id_in_a_persons_error_message_is_in_log_trail_and_the_issuers_log(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """The broker sends it on, and the trail of what was done for it can be had by it."""
    served = await broker_world.serve(port=unused_tcp_port)
    keep_lease(broker_world, served, await served.log_in())
    broker_world.on_refresh(faults.oauth_error("invalid_grant", "It is over."))
    status, said = await fetch(broker_world)
    assert status == 4, said
    (request_id,) = IN_MESSAGE.findall(said)

    asked = [one for one in broker_world.issuer.journal if one.request_id == request_id]
    assert [one.grant_type for one in asked] == ["refresh_token"]
    log = [json.loads(line) for line in served.said().splitlines()]
    assert "refused" in {line["event"] for line in log if line.get("request_id") == request_id}
    found = Trace(Selection.of(Followed.REQUEST, request_id))
    files = sorted((broker_world.folder / "audit").glob("audit-*.jsonl"))
    assert [line.event for line, _ in found.follow(files)] == [
        "login", "refresh_begun", "refresh_failed", "refused",
    ]  # fmt: skip


def keep_lease(world: BrokerWorld, served: Served, lease_token: str) -> None:
    """Write the lease file that a login would have written."""
    environ = environment(world)
    lease_file.make_leases_folder(environ, SystemEntropy())
    lease = LeaseFile(
        broker=served.url,
        lease_token=Secret("lease token", lease_token),
        issuer=world.issuer_name,
        role="default",
        credkey="alice",
        scopes=ROLE_SCOPES,
        lease_ends_at=world.clock.now() + datetime.timedelta(days=1),
        ca_file=str(world.authority.ca_file),
        issuer_url=world.issuer.url,
    )
    path = lease_file.person_path(environ, world.issuer_name, "default")
    lease_file.write(path, lease, SystemEntropy())


def environment(world: BrokerWorld) -> dict[str, str]:
    """Return what a person's shell says."""
    home = world.folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    return {"PATH": os.defpath, "HOME": str(home)}


async def fetch(world: BrokerWorld) -> tuple[int, str]:
    """Ask for a new token as a person does; return the exit code and what was said."""
    words = ("token", "--fresh", "--no-login", "--scope", WISH, "-o", "-")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "credbroker", *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(world),
    )  # fmt: skip
    _, said = await child.communicate()
    assert child.returncode is not None
    return child.returncode, said.decode()
