"""The demo's job must see every fault there could be in its token file; else it proves nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import KeySet

from credbroker.demo.issuer import SigningKeys
from credbroker.demo.reader import Expected, Seen, look

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_780_000_000
SCOPE, AUDIENCE = "storage.read:/job", "https://se"
CLAIMS = {
    "jti": "jti-1", "nbf": NOW - 60, "exp": NOW + 600, "scope": SCOPE, "aud": AUDIENCE,
}  # fmt: skip


@pytest.fixture(scope="module")
def keys() -> SigningKeys:
    """The issuer's keys."""
    return SigningKeys()


@pytest.fixture
def expected(keys: SigningKeys) -> Expected:
    """What the job was promised."""
    return Expected(KeySet.import_key_set(json.loads(json.dumps(keys.jwks()))), SCOPE, AUDIENCE)


@pytest.fixture
def token_file(tmp_path: Path, keys: SigningKeys) -> Path:
    """A file with a good token."""
    return write(tmp_path / "bearer_token", keys.sign(CLAIMS, "RS256"))


def write(path: Path, text: str) -> Path:
    """Put `text` into a private file."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_good_token_has_no_fault(token_file: Path, expected: Expected) -> None:
    """From `nbf` up to `exp`."""
    for now in (NOW - 60, NOW, NOW + 599):
        assert look(token_file, expected, now) == ("jti-1", None)


@pytest.mark.parametrize("now", [NOW - 61, NOW + 600])
def test_a_token_out_of_its_time_is_a_fault(token_file: Path, expected: Expected, now: int) -> None:
    """At `exp` it is over."""
    assert look(token_file, expected, now) == ("jti-1", "the token is not in force")


@pytest.mark.parametrize("change", [{"scope": "storage.read:/"}, {"aud": "https://other"}])
def test_a_token_for_another_right_is_a_fault(
    token_file: Path, expected: Expected, keys: SigningKeys, change: dict[str, str]
) -> None:
    """Wider is no better than narrower."""
    write(token_file, keys.sign(CLAIMS | change, "RS256"))
    assert look(token_file, expected, NOW) == ("jti-1", "the token is for another right")


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_an_empty_or_partial_file_is_a_fault(
    token_file: Path, expected: Expected, part: float
) -> None:
    """As a writer would leave it that does not replace the file as a whole."""
    text = token_file.read_text()
    write(token_file, text[: int(len(text) * part)])
    assert look(token_file, expected, NOW)[1] == "no token with a good signature is in the file"


def test_a_token_by_another_key_is_a_fault(token_file: Path, expected: Expected) -> None:
    """Whatever it says."""
    write(token_file, SigningKeys().sign(CLAIMS, "RS256"))
    assert look(token_file, expected, NOW)[0] is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o700])
def test_a_file_others_may_read_is_a_fault(token_file: Path, expected: Expected, mode: int) -> None:
    """A token is its holder's alone."""
    token_file.chmod(mode)
    assert look(token_file, expected, NOW) == (None, "the file is not private")


def test_a_missing_file_is_a_fault(token_file: Path, expected: Expected) -> None:
    """For however short a time."""
    token_file.unlink()
    fault = look(token_file, expected, NOW)[1]
    assert fault is not None
    assert "FileNotFoundError" in fault


def test_the_first_token_is_no_renewal_and_faults_are_counted() -> None:
    """All are counted, the first few are told."""
    seen = Seen()
    for jti in ("a", "a", "b", None, "b"):
        seen.note(1.0, jti, None if jti else "gone")
    for _ in range(10):
        seen.note(1.0, None, "gone")
    told = json.loads(seen.as_json())
    assert told == {
        "samples": 15, "invalid_samples": 11, "renewals": 1, "faults": ["gone"] * 5,
        "longest_gap_seconds": 0.0,
    }  # fmt: skip


def test_the_longest_time_without_a_look_is_told() -> None:
    """A reader that was stopped for a while cannot vouch for that while."""
    seen = Seen()
    for at in (100.0, 100.05, 103.25, 103.3):
        seen.note(at, "a", None)
    assert json.loads(seen.as_json())["longest_gap_seconds"] == 3.2
