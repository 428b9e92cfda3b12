"""A token file that is renewed thousands of times, while everything fails that can: nobody sees it.

`make chaos` does the same a hundred thousand times.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.chaos.file_planted import BUGS

pytestmark = pytest.mark.slow
RENEWALS = 2000


def campaign(*words: str) -> tuple[int, str]:
    """Renew and read; return the exit status and what was counted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.files", *words],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_reader_in_a_tight_loop_never_sees_a_bad_file() -> None:
    """Never a missing, empty, partial, older, or wrongly owned one, or one that others may read."""
    status, said = campaign("--count", str(RENEWALS), "--seed", "1")
    assert status == 0, said
    assert f"{RENEWALS} a renewal" in said
    for struck in ("EIO from fsync", "ENOSPC from rename", "killed (before|after)"):
        assert re.search(struck, said), said
    (reads,) = re.findall(r"reads: (\d+)", said)
    assert int(reads) > RENEWALS / 2, said


@pytest.mark.parametrize("bug", BUGS)
def test_a_writer_that_is_wrong_is_found(bug: str) -> None:
    """What sees nothing wrong with these would see nothing."""
    status, said = campaign("--count", "2000", "--seed", "1", "--plant", bug)
    assert status == 1, said
    assert "wrong: " in said
    assert "the writer failed" not in said
