"""A job's agent, out of `credbroker.pyz`, at rest: what it keeps in memory, what it uses of a core."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.edge_point import CHANCE_BYTES, clock, entropy, opened
from bench.edge_server import AUDIENCE, ISSUER, LIFE, SCOPE
from bench.machine import resident_bytes
from credbroker import zipapp
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from bench.edge_point import Point

_PATIENCE_SECONDS = 20.0


async def measure(folder: Path, seconds: float) -> dict[str, float]:
    """Let an agent rest for so many seconds; return its megabytes and its percent of a core."""
    async with opened(folder, 0, 0) as point:
        lease, token = folder / "lease.json", folder / "token"
        await asyncio.to_thread(_write, lease, point)
        archive = folder / "credbroker.pyz"
        await asyncio.to_thread(zipapp.build, archive)
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", archive, "agent", "--job", lease, "--token-file", token,
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath},
        )  # fmt: skip
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not token.exists():
                    await clock.sleep(0.02)
            await clock.sleep(1.0)
            before = _on_cpu_seconds(agent.pid)
            await clock.sleep(seconds)
            used = _on_cpu_seconds(agent.pid) - before
            return {
                "megabytes": resident_bytes(agent.pid) / 1e6,
                "percent": 100 * used / seconds,
            }
        finally:
            agent.terminate()
            await agent.wait()


def _write(path: Path, point: Point) -> None:
    secret = Secret("lease", entropy.token(32))
    lease = LeaseFile(
        broker=f"https://127.0.0.1:{point.port}",
        lease_token=LeaseToken(entropy.token(CHANCE_BYTES), secret).text(),
        issuer="wlcg",
        issuer_url=ISSUER,
        role="default",
        credkey="ada",
        scopes=[SCOPE],
        audiences=[AUDIENCE],
        lease_ends_at=clock.now() + 10 * LIFE,
        job="bench",
        ca_pem=point.ca_file.read_text(),
    )
    lease_file.write(path, lease, entropy)


def _on_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a program's main thread, to the nanosecond (proc_pid_schedstat(5))."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
