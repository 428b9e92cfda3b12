"""Ssh keys are read strictly: what is taken can be checked later, what is not is named in words."""

from __future__ import annotations

import base64
import itertools
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed, NotFound
from credbroker.domain.names import GrantKey
from credbroker.domain.ssh_keys import MOST_KEYS, SshKey, SshKeys, choose, place_of, read_parts
from tests.fakes.ssh_agent import CURVES, ecdsa_key, ed25519_key, numbers, rsa_key, string
from tests.unit.things import NOON, refusal

if TYPE_CHECKING:
    from pathlib import Path

ED25519 = ed25519_key().line
DSA = "ssh-dss AAAA me"
LINES = [ED25519, rsa_key().line, *(ecdsa_key(curve).line for curve in CURVES)]


def line(kind: str, *parts: bytes, named: str | None = None) -> str:
    """Write a key of these parts; `named` is the kind inside the blob if that is another one."""
    blob = b"".join(map(string, [(named or kind).encode(), *parts]))
    return f"{kind} {base64.b64encode(blob).decode()}"


def why_unfit(text: str) -> str:
    """Return the sentence with which a key is refused."""
    return refusal(lambda: SshKey.parse(text))


@pytest.mark.parametrize("text", LINES, ids=itertools.count())
def test_a_key_is_read_as_agents_have_it_and_its_comment_dropped(text: str) -> None:
    """Of each kind that can log in; what is kept reads back as itself."""
    key = SshKey.parse(text)
    assert key.line() == text.rpartition(" ")[0]
    assert SshKey.parse(key.line()) == key
    assert SshKey.parse(f"{key.line()} a comment of words") == key


def test_a_fingerprint_is_what_ssh_keygen_says(tmp_path: Path) -> None:
    """So that a person finds the key again."""
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip(reason="there is no ssh-keygen here")
    (tmp_path / "key.pub").write_text(ED25519)
    told = subprocess.run(
        [keygen, "-l", "-f", tmp_path / "key.pub"], capture_output=True, check=True
    )
    assert told.stdout.decode().split()[1] == SshKey.parse(ED25519).fingerprint()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sk-ssh-ed25519@openssh.com AAAA me", "FIDO"),
        ("sk-ecdsa-sha2-nistp256@openssh.com AAAA me", "FIDO"),
        (DSA, "DSA keys are too weak"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        ("ssh-ed448 AAAA", "not known"),
        ("", "not known"),
        (rsa_key(1024).line, "between 2048 and 16384 bits"),
        (line("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 2049), "between 2048 and 16384 bits"),
        (line("ssh-rsa", b"\1\0\1", b"\xff" * 256), "between 2048 and 16384 bits"),
        (line("ssh-rsa", b"\1\0\1"), "damaged"),
        (line("ssh-ed25519", b"x" * 31), "damaged"),
        (line("ssh-ed25519", b"x" * 32, b""), "damaged"),
        (line("ssh-ed25519", b"x" * 32, named="ssh-rsa"), "damaged"),
        (line("ecdsa-sha2-nistp256", b"nistp384", b"\4" + b"x" * 64), "damaged"),
        (line("ecdsa-sha2-nistp256", b"nistp256", b"\2" + b"x" * 32), "damaged"),
        (line("ecdsa-sha2-nistp256", b"nistp256"), "damaged"),
        (line("ssh-ed25519", b"x" * 5000), "damaged"),
        ("ssh-ed25519", "damaged"),
        ("ssh-ed25519 !!!!", "damaged"),
        ("ssh-ed25519 ÄÖÜ=", "damaged"),
        ("ssh-ed25519 AAAA", "damaged"),
        ("ssh-ed25519 AAAAAAAA", "damaged"),
    ],
    ids=itertools.count(),
)
def test_a_key_that_cannot_log_in_is_refused_in_words(text: str, why: str) -> None:
    """The words tell what is wrong with it."""
    assert why in why_unfit(text)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: f"ssh-rsa {raw.hex()}"))
def test_rubbish_is_refused_and_nothing_else(text: str) -> None:
    """Never another error."""
    assert why_unfit(text)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_parts_are_read_as_they_were_written(parts: list[bytes]) -> None:
    """One behind the other; what is cut off is refused."""
    written = b"".join(map(string, parts))
    assert read_parts(written) == parts
    if written:
        with pytest.raises(Malformed):
            read_parts(written[:-1])


def test_numbers_of_the_tests_own_agent_are_those_of_the_standard() -> None:
    """By the examples of RFC 4251 section 5."""
    assert numbers(0x9A378F9B2E332A7) == bytes.fromhex("0000000809a378f9b2e332a7")
    assert numbers(0, 0x80, -0x1234) == bytes.fromhex("0000000000000002008000000002edcc")


def test_the_unfit_keys_of_an_agent_are_left_out_in_words() -> None:
    """They keep nobody else's key out; a key that comes twice is one."""
    keys, left_out = choose([ED25519, DSA, LINES[1], f"{ED25519} again"])
    assert keys == (SshKey.parse(ED25519), SshKey.parse(LINES[1]))
    assert left_out == ["Key 2: DSA keys are too weak."]


def test_an_agent_without_a_fit_key_is_told_why() -> None:
    """By the first of them."""
    with pytest.raises(Malformed, match=r"Key 1: A FIDO key cannot be used"):
        choose(["sk-ssh-ed25519@openssh.com AAAA", DSA])


def test_no_key_and_too_many_are_refused() -> None:
    """An identity has a bounded number of keys."""
    assert len(choose([ED25519] * MOST_KEYS)[0]) == 1
    for lines in ([], [ED25519] * (MOST_KEYS + 1)):
        with pytest.raises(Malformed, match="Between 1 and 32"):
            choose(lines)


def test_one_key_is_taken_away_by_its_fingerprint() -> None:
    """One that is not there is said to be not there."""
    keys = tuple(map(SshKey.parse, LINES))
    record = SshKeys("cms", "ada", "https://issuer.test/", "sub-ada", keys, NOON)
    left = record.without(keys[1].fingerprint())
    assert left.keys == (keys[0], *keys[2:])
    with pytest.raises(NotFound):
        left.without(keys[1].fingerprint())


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_each_identity_has_a_place_of_its_own(a: str, b: str, c: str, d: str) -> None:
    """Whatever its names are made of; no grant has the same segment."""
    assert (place_of(a, b) == place_of(c, d)) is ((a, b) == (c, d))
    assert place_of(a, b) != GrantKey(a, b, "default").segment()
