"""Ssh keys come back from the store as they were, and a client's login is taken apart strictly."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.names import GrantKey
from credbroker.domain.ssh_keys import SeenNonce, SshKey, SshKeys
from credbroker.wire.ssh_keys import (
    read_public_keys,
    read_seen_nonce,
    read_ssh_keys,
    read_ssh_proof,
    write_seen_nonce,
    write_ssh_keys,
)
from tests.fakes.ssh_agent import ecdsa_key, ed25519_key
from tests.unit.things import NOON, instants, names, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = tuple(SshKey.parse(one.line) for one in (ed25519_key(), ecdsa_key()))
RECORD = SshKeys("cms", "ada", "https://issuer.test/", "sub-ada", KEYS, NOON)
SIGNATURE = b"\0signature"
LOGIN: dict[str, Any] = {
    "role": "ada@site",
    "public_key": f"{KEYS[0].line()} key1",
    "nonce": base64.b64encode(b"nonce-1").decode(),
    "signature": base64.b64encode(SIGNATURE).decode(),
    "metadata": {"issuer": "cms", "group": "default"},
}


def through_json(record: Mapping[str, object]) -> Any:
    """Return a record as the store gives it back."""
    return json.loads(json.dumps(record))


@given(st.builds(SshKeys, names, names, names, names, st.sampled_from([KEYS, ()]), instants))
def test_registered_keys_come_back(record: SshKeys) -> None:
    """Also if the last one was taken away."""
    assert read_ssh_keys(through_json(write_ssh_keys(record))) == record


@given(st.builds(SeenNonce, names, instants))
def test_the_mark_of_a_used_nonce_comes_back(mark: SeenNonce) -> None:
    """With what tells one use from another."""
    assert read_seen_nonce(through_json(write_seen_nonce(mark))) == mark


@pytest.mark.parametrize(
    "change",
    [
        *({name: ["no such thing"]} for name in write_ssh_keys(RECORD)),
        {"format": 99},
        {"keys": None},
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    """Nothing in it is guessed; nor is one of a newer version."""
    with pytest.raises(Malformed):
        read_ssh_keys({**write_ssh_keys(RECORD), **change})
    mark = write_seen_nonce(SeenNonce("x", NOON))
    wrongs: list[object] = [{}, [], None, {**mark, "use": 7}, {**mark, "format": 99}]
    for wrong in wrongs:
        with pytest.raises(Malformed):
            read_seen_nonce(wrong)


def test_a_login_is_read_as_htgettoken_writes_it() -> None:
    """`role` is the credkey, and `group` the role."""
    proof = read_ssh_proof(json.dumps(LOGIN).encode())
    assert proof.grant == GrantKey("cms", "ada@site", "default")
    assert (proof.key, proof.nonce, proof.signature) == (KEYS[0], "nonce-1", SIGNATURE)
    assert "nonce-1" not in repr(proof)
    assert str(SIGNATURE) not in repr(proof)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"role": None}, "needs the text field 'role'"),
        ({"role": "a\0b"}, "printable"),
        ({"role": "a" * 256}, "printable"),
        ({"metadata": None}, "'metadata'"),
        ({"metadata": {"issuer": "cms"}}, "'group'"),
        ({"metadata": {"issuer": "../cms", "group": "default"}}, "issuer name"),
        ({"metadata": {"issuer": "cms", "group": "a b"}}, "role name"),
        ({"public_key": "sk-ssh-ed25519@openssh.com AAAA"}, "FIDO"),
        ({"nonce": "!"}, "base64"),
        ({"signature": "Ä"}, "base64"),
        ({"signature": 7}, "'signature'"),
    ],
)
def test_a_login_that_lacks_something_is_refused_in_words(
    change: dict[str, object], why: str
) -> None:
    """The words name what is wrong."""
    body = json.dumps({**LOGIN, **change}).encode()
    assert why in refusal(lambda: read_ssh_proof(body))


@given(st.binary(max_size=60))
def test_a_nonce_of_any_bytes_is_a_text(raw: bytes) -> None:
    """Which nobody gave, if it is none."""
    body = {**LOGIN, "nonce": base64.b64encode(raw or b"x").decode()}
    read_ssh_proof(json.dumps(body).encode()).nonce.encode()


def test_a_registration_is_a_list_of_lines() -> None:
    """Whatever else it may say; what each of them is, is not looked at here."""
    assert read_public_keys(b'{"public_keys": ["a b c", ""], "more": 1}') == ["a b c", ""]
    for body in (b"{}", b'{"public_keys": "a"}', b'{"public_keys": [1]}', b"[]", b"x"):
        with pytest.raises(Malformed):
            read_public_keys(body)
