"""The key of a host that joined: made here, kept private, good for short assertions."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from joserfc import jwk, jwt

from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.sessions import host_key
from credbroker.edge.sessions.host_key import JoinedHost
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock


def test_an_assertion_says_who_and_to_whom_and_is_short(tmp_path: Path) -> None:
    """RFC 7523 section 3; each has a number of its own, so none is good twice."""
    joined, now = (
        JoinedHost("lx1.example.org", host_key.key_to_join_with(tmp_path, SystemEntropy())),
        FakeClock().now(),
    )
    host_key.keep(tmp_path, joined, SystemEntropy())
    again = host_key.kept(tmp_path)
    one, other = (
        again.assertion("https://broker:8200", now, SystemEntropy()).reveal() for _ in range(2)
    )
    public = jwk.ECKey.import_key(host_key.public_part(joined.key))
    read = jwt.decode(one, public, algorithms=["ES256"])
    assert read.header["alg"] == "ES256"
    assert read.claims["iss"] == read.claims["sub"] == "lx1.example.org"
    assert read.claims["aud"] == "https://broker:8200"
    assert read.claims["exp"] - now.timestamp() == 60
    assert read.claims["jti"] != jwt.decode(other, public, algorithms=["ES256"]).claims["jti"]


def test_the_key_is_root_s_alone(tmp_path: Path) -> None:
    """And what goes to the broker is only its public part."""
    joined = JoinedHost("lx1", host_key.key_to_join_with(tmp_path, SystemEntropy()))
    host_key.keep(tmp_path, joined, SystemEntropy())
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE" not in host_key.public_part(joined.key)
    file.chmod(0o640)
    with pytest.raises(LocalFileUnfit, match="read or written by others"):
        host_key.kept(tmp_path)


def test_a_host_that_has_not_joined_is_told_how(tmp_path: Path) -> None:
    """By a token, or by a certificate."""
    with pytest.raises(LocalFileUnfit, match="has not joined") as unfit:
        host_key.kept(tmp_path)
    assert "--join" in unfit.value.remedy


def test_a_trade_whose_answer_was_lost_is_repeated_with_the_same_key(tmp_path: Path) -> None:
    """The token is good for that key only; once joined, the next time has a key of its own."""
    one, same = (host_key.key_to_join_with(tmp_path, SystemEntropy()) for _ in range(2))
    assert host_key.public_part(one) == host_key.public_part(same)
    host_key.keep(tmp_path, JoinedHost("lx1", one), SystemEntropy())
    other = host_key.key_to_join_with(tmp_path, SystemEntropy())
    assert host_key.public_part(other) != host_key.public_part(one)
    assert host_key.public_part(host_key.kept(tmp_path).key) == host_key.public_part(one)


@pytest.mark.parametrize("content", ["", "{}", '{"host":"a","key":"-----BEGIN"}', '{"host":1}'])
def test_a_damaged_file_is_no_key(tmp_path: Path, content: str) -> None:
    """It says so, without what is in it."""
    path = tmp_path / "host.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(LocalFileUnfit, match="does not hold"):
        host_key.kept(tmp_path)
