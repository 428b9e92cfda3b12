"""The demo's stage: what it starts is looked at, and all of it is ended whatever fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.demo.stage import Stage
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage on which nothing runs yet."""
    return Stage(tmp_path, SystemClock(), SystemEntropy())


def test_a_refresh_token_in_the_words_of_a_short_command_is_seen(stage: Stage) -> None:
    """However soon the command ends."""
    stage.canaries.plant("refresh token", "r-0123456789-0123456789")
    child = stage.start("inspect", "--help", "r-0123456789-0123456789")
    child.wait(20)
    assert "the arguments of inspect" in {one.where for one in stage.canaries.report()}


async def test_openbao_is_stopped_whatever_fails_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would outlive the demo."""
    stopped: list[bool] = []

    async def fail() -> None:
        raise OSError("The issuer does not stop.")

    monkeypatch.setattr(stage.issuer, "stop", fail)
    monkeypatch.setattr(stage.openbao, "stop", lambda: stopped.append(True))
    child = stage.start_python("sleeper", "asyncio")
    with pytest.raises(OSError, match="does not stop"):
        await stage.close()
    assert stopped == [True]
    assert child.returncode is not None
