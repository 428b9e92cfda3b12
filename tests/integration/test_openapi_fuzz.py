"""Every endpoint that an OpenAPI document describes bears whatever fits it, and whatever does not.

schemathesis makes requests from both documents, of a broker on real parts; what must hold of each answer
beside its described form is in `schemathesis_checks`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credbroker.api.issuer_openapi import ISSUER_OPENAPI
from credbroker.wire.native import OPENAPI

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld, Replica

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "response_headers_conformance", "unsupported_method",
    "nothing_is_echoed",
)  # fmt: skip
EXAMPLES = 10
SECRET = "opensesame"
COMMUNITY = {
    "url": "https://tokens.example.org:8200/dteam/",
    "algorithm": "ES256",
    "clients": {
        "fts": {
            "secret_sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
            "scopes": ["offline_access", "storage.read:/"],
            "audiences": ["https://se.example.org"],
            "default_audiences": ["https://se.example.org"],
            "grants": ["client_credentials", "token_exchange", "refresh_token"],
        }
    },
}


@pytest.fixture
async def broker(broker_world: BrokerWorld) -> Replica:
    """A broker with people and a community, whose limits are not what is under test."""
    limits = {"per_address_per_second": 1000.0, "per_address_burst": 100_000}
    return await broker_world.replica(more={"communities": {"dteam": COMMUNITY}, "limits": limits})


async def fuzz(
    broker: Replica, document: str, *shown: str, phases: str = "coverage,fuzzing"
) -> tuple[int, str]:
    """Let schemathesis ask what the document describes; return its status and report."""
    arguments = [
        "run", broker.url + document, "--url", broker.url,
        "--tls-verify", str(broker.world.authority.ca_file),
        "--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", "1",
        "--phases", phases, "--generation-database", "none", "--no-shrink",
        "--no-color", "--continue-on-failure", *shown,
    ]  # fmt: skip
    root = Path(__file__).parents[2]
    ran = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, *arguments, cwd=broker.world.folder,
        env={**os.environ, "PYTHONPATH": str(root), "SCHEMATHESIS_HOOKS": f"{__package__}.schemathesis_checks"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await ran.communicate()
    assert ran.returncode is not None
    return ran.returncode, said.decode()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_issuers_endpoints_bear_whatever_comes(broker: Replica) -> None:
    """With a good secret, and with none."""
    status, report = await fuzz(broker, ISSUER_OPENAPI, "--auth", f"fts:{SECRET}")
    assert status == 0, report
    status, report = await fuzz(broker, ISSUER_OPENAPI, phases="fuzzing")
    assert status == 0, report


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_native_endpoints_bear_whatever_comes(broker: Replica) -> None:
    """With a lease, and with none."""
    lease = await broker.log_in()
    known = ("--header", f"Authorization: Bearer {lease}", "--exclude-operation-id", "endLease")
    status, report = await fuzz(broker, OPENAPI, *known, "--exclude-operation-id", "logOut")
    assert status == 0, report
    status, report = await fuzz(broker, OPENAPI, phases="fuzzing")
    assert status == 0, report
