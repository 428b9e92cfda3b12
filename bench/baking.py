"""An OpenBao's folder that was filled with grants beforehand, since filling one takes minutes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.bare import BareScript, Chain, open_bare
from bench.ground import Ground, open_ground
from credbroker.demo.openbao import OpenBaoSettings
from credbroker.host.clock import SystemClock
from credbroker.stores.broker_place import broker_policy

KEPT = Path(__file__).parent / "results" / "raw"
# Baked grants must still count as fresh: nobody renews them that early.
GOOD_SECONDS = 5 * 86400.0
_HANDS = 64


async def baked(grants: int) -> Path:
    """Return the folder of a stopped OpenBao that holds so many fresh grants."""
    # A folder keeps the policy that its first start set up.
    policy = hashlib.sha256(broker_policy(OpenBaoSettings().mount).encode()).hexdigest()
    folder = KEPT / f"openbao-with-{grants}-{policy[:8]}"
    if not await asyncio.to_thread(_is_good, folder):
        await _bake(folder, grants)
    return folder


async def _bake(folder: Path, grants: int) -> None:
    raw = folder.with_suffix(".raw")
    await asyncio.to_thread(_cleared, folder, raw)
    async with open_ground(raw) as ground, open_bare(ground) as script:
        numbers = iter(range(grants))
        async with asyncio.TaskGroup() as hands:
            for _ in range(_HANDS):
                hands.create_task(_fill(ground, script, numbers))
    await asyncio.to_thread(_moved, raw, folder)


async def _fill(ground: Ground, script: BareScript, numbers: Iterator[int]) -> None:
    for number in numbers:
        value = f"refresh-0-of-forty-three-characters-{number:07d}"
        chain = Chain.of(ground.grant(f"person{number:06d}", value))
        await script.store(chain)


def _is_good(folder: Path) -> bool:
    if not folder.exists():
        return False
    return SystemClock().now().timestamp() - folder.stat().st_mtime < GOOD_SECONDS


def _cleared(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    folders[0].parent.mkdir(parents=True, exist_ok=True)


def _moved(raw: Path, folder: Path) -> None:
    """Keep what the server needs to start again, without what it wrote about each request."""
    for log in (raw / "openbao").glob("*.log"):
        log.unlink()
    (raw / "openbao").rename(folder)
    shutil.rmtree(raw)
    folder.touch()
