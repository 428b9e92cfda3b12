"""The seeds, and what was ever found, are answered in order; a short run finds what is planted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import campaign
from tests.fuzz.facade import Facade
from tests.fuzz.planted import FAULTS
from tests.fuzz.seeds import TARGETS, opened, texts_of
from tests.fuzz.watch import Finding

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SEED = 1
SHORT = {"facade": 1000, "readers": 2000}
# A fault is met long before; more inputs only cost time where it is not.
MOST = 15_000
LOOKUP = b"GET /v1/auth/token/lookup-self HTTP/1.1\nHost: broker.test\nX-Vault-Token: {ada}"


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_is_answered_in_order(target: str) -> None:
    """What clients send, and whatever once was a finding; needs no fuzzer."""
    with opened(target) as one:
        texts = texts_of(target)
        assert len(texts) > 20
        for text in texts:
            one(text)


def test_the_same_inputs_are_looked_at_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From files, as a finding is kept; a fault is told with its stack."""
    good, odd = tmp_path / "good", tmp_path / "odd"
    good.write_bytes(LOOKUP)
    odd.write_bytes(b"htvault-config\n- {")
    assert campaign.look_again("facade", [good]) == 0
    assert campaign.look_again("readers", [odd]) == 0
    assert capsys.readouterr().out == ""


def test_the_watch_sees_what_was_changed_behind_everybodys_back() -> None:
    """A record of Bob's that is new after a request is a finding, whoever wrote it."""
    with Facade() as facade:
        facade(LOOKUP)
        store = facade._crowd.world.grants
        segment = next(at for at, (one, *_) in store._newest.items() if one.key.credkey == "bob")
        value, version, at = store._newest[segment]
        store._newest[segment] = (value, version + 1, at)
        with pytest.raises(Finding, match="grants of 'bob' were written"):
            facade(LOOKUP)


@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(target: str, tmp_path: Path) -> None:
    """The same inputs each time, made by atheris from the seeds."""
    said = fuzzed(target, tmp_path, SHORT[target])
    assert "inputs" in said, said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    """A vault token in an error, a path that leads to Bob's login, a field taken for granted."""
    planted = FAULTS[fault]
    said = fuzzed(planted.target, tmp_path, MOST, fault)
    assert re.search(planted.found, said), said
    assert len(list(tmp_path.glob("finding-*"))) == 1, said


def fuzzed(target: str, findings: Path, count: int, plant: str | None = None) -> str:
    """Fuzz a target; return what was said, having checked that only a planted fault is found."""
    if campaign.missing():
        pytest.skip(campaign.missing())
    said: list[str] = []
    found_nothing = campaign.Run(target, count, SEED, findings, plant).go(said.append)
    assert found_nothing is (plant is None), "\n".join(said)
    return "\n".join(said)
