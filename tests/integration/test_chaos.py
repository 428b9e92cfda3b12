"""A short campaign of faults: nothing is lost by it, and it would be seen if something were."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from credbroker.demo.openbao import OpenBaoError, find_binary

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
FAULTS = 20
MUST_BE_NONE = (
    "unexplained",
    "posts_beyond_rule",
    "third_posts",
    "foreign_client_posts",
    "used_before_stored",
    "invalid_samples",
)
PLANTED = {
    "publish_before_store": ("stop@spooled", "used_before_stored"),
    "take_over_expired_claim": ("kill@answered", "posts_beyond_rule"),
    "drop_successor_on_mismatch": ("stop_longer_than_claim@answered", "unexplained"),
}
# Where a retry brings the same value again, a successor that is let go is no loss.
RULES = dict.fromkeys(("take_over_expired_claim", "drop_successor_on_mismatch"), ("--rules", "ask"))


async def campaign(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Run a short campaign; return its exit status, its report, and what it said."""
    try:
        find_binary()
    except OpenBaoError as missing:
        pytest.skip(str(missing))
    report = folder / "chaos-report.json"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos", "--short", "--report", str(report), *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, env={"PATH": os.defpath, "HOME": str(folder)},
    )  # fmt: skip
    said, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, json.loads(report.read_text()), said.decode()


async def test_a_short_campaign_loses_nothing(tmp_path: Path) -> None:
    """Faults of brokers, OpenBao, issuers and disks: every loss is one that had to be."""
    status, report, said = await campaign(tmp_path, "--count", str(FAULTS), "--seed", "5")
    assert status == 0, said
    assert sum(report["faults"].values()) >= FAULTS
    assert {name: report[name] for name in MUST_BE_NONE} == dict.fromkeys(MUST_BE_NONE, 0)
    assert report["refreshed_after_last_fault"] == report["ready_after_last_fault"] > 0
    assert report["samples"] > 100
    assert report["left_out"]


@pytest.mark.parametrize("bug", PLANTED)
async def test_a_planted_bug_turns_the_campaign_red(tmp_path: Path, bug: str) -> None:
    """What finds none of these would find no other bug."""
    fault, finding = PLANTED[bug]
    words = ("--count", "2", "--seed", "1", "--plant", bug, "--only", fault, *RULES.get(bug, ()))
    status, report, said = await campaign(tmp_path, *words)
    assert status == 1, said
    assert report["faults"][fault] >= 1, said
    assert report[finding] > 0, said
