"""`credbroker credmon` under HTCondor's own daemons, where they are on the machine.

A pool of one host is started with the settings that the page for access points shows, and a job
reads its token until it has seen two renewals.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.condor_config import shown
from tests.fakes.credd import IS_ROOT
from tests.integration.credmon_world import CondorWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from credbroker.demo.certificates import Authority

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IS_ROOT or "CONDOR_CONFIG" not in os.environ or not shutil.which("condor_master"),
        reason="needs HTCondor's daemons, as root: install htcondor and set CONDOR_CONFIG",
    ),
]

_PERSON = "nobody"
_POOL = """
use role:Personal
use security:recommended
{shown}
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
COLLECTOR_HOST = 127.0.0.1:0
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD, CREDD, CREDMON_OAUTH
SEC_CREDENTIAL_DIRECTORY_OAUTH = {credentials}
CREDMON_OAUTH = {credmon}
SEC_CREDENTIAL_STORER = /bin/true
TRUSTED_VAULT_HOSTS = {trusted}
AUTH_SSL_CLIENT_CAFILE = {ca_file}
SEC_CREDENTIAL_REFRESH = 2
"""
_JOB = """
executable = /bin/sh
arguments = "-c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cat $_CONDOR_CREDS/cms.use; sleep 2; done'"
use_oauth_services = cms
output = out
stream_output = true
log = joblog
queue
"""


@pytest.fixture
async def pool(tmp_path: Path, authority: Authority) -> AsyncIterator[CondorWorld]:
    """A pool of one host whose tokens live for ten seconds."""
    world = CondorWorld(tmp_path, authority)
    server = await world.server(life_seconds=10.0)
    make_folders(world)
    settings = _POOL.format(
        shown=shown(),
        folder=tmp_path,
        credentials=world.credd.folder,
        credmon=Path(sys.executable).with_name("credbroker"),
        trusted=server.authority,
        ca_file=authority.ca_file,
    )
    (tmp_path / "condor_config").write_text(settings)
    master = start_master(environ_of(world))
    try:
        await world.until((world.credd.folder / "CREDMON_COMPLETE").exists, 40)
        yield world
    finally:
        master.terminate()
        await asyncio.to_thread(master.wait, 30)
        await world.close()


def make_folders(world: CondorWorld) -> None:
    """Give HTCondor's account what it writes to, and the person a place for the job."""
    account = pwd.getpwnam("condor")
    os.chown(world.credd.folder, 0, account.pw_gid)
    world.folder.chmod(0o755)
    for name in ("log", "spool", "execute", "lock", "job"):
        (world.folder / name).mkdir()
        os.chown(world.folder / name, account.pw_uid, account.pw_gid)
    os.chown(world.folder / "job", pwd.getpwnam(_PERSON).pw_uid, -1)


def environ_of(world: CondorWorld) -> dict[str, str]:
    """Return the environment of whoever belongs to the pool."""
    return {**os.environ, "CONDOR_CONFIG": str(world.folder / "condor_config")}


def start_master(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the pool."""
    return subprocess.Popen(["condor_master", "-f"], env=environ)


async def run_as_person(world: CondorWorld, *words: str, told: str = "") -> None:
    """Run one of HTCondor's tools as a person; root may submit nothing."""
    await asyncio.to_thread(
        partial(
            subprocess.run,
            words,
            user=_PERSON,
            env=environ_of(world),
            cwd=world.folder / "job",
            input=told,
            text=True,
            check=True,
            timeout=30,
        )
    )


@pytest.mark.timeout(240)
async def test_a_job_reads_its_token_through_two_renewals(pool: CondorWorld) -> None:
    """Stored with HTCondor's tool, made by the credmon, delivered by shadow and starter."""
    stored = json.dumps({"vault_url": pool.servers[0].url(), "vault_token": "hvs.job"})
    await run_as_person(pool, "condor_store_cred", "add-oauth", "-s", "cms", "-i", "-", told=stored)
    await pool.until(lambda: pool.jti(_PERSON, "cms"), 40)
    await run_as_person(pool, "condor_submit", "-", told=_JOB)
    output = pool.folder / "job" / "out"
    await pool.until(lambda: output.exists() and len(set(output.read_text().split())) >= 3, 150)
