"""What was sealed opens at every replica over the same Vault, for the same purpose, and unchanged."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed, RecordDamaged, StoreUnavailable
from credbroker.domain.secret import Secret
from credbroker.stores.login_seal import LOGIN_KEY_SEGMENT, AesLoginSeal, open_login_seal
from tests.fakes.store import MemoryRecords

SEAL = AesLoginSeal(Secret("login key", "A" * 43))
OTHER = AesLoginSeal(Secret("login key", "B" * 42 + "A"))


@given(st.text(), st.binary(max_size=300))
def test_what_was_sealed_opens_for_its_purpose_alone(purpose: str, content: bytes) -> None:
    """Neither for another purpose nor with another key."""
    sealed = SEAL.seal(purpose, content)
    assert SEAL.open(purpose, sealed) == content
    for seal, wanted in ((SEAL, purpose + "x"), (OTHER, purpose)):
        with pytest.raises(Malformed):
            seal.open(wanted, sealed)


@given(st.data())
def test_a_changed_seal_does_not_open(data: st.DataObject) -> None:
    """Whichever bit was changed."""
    sealed = SEAL.seal("login", b"content")
    raw = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Malformed):
        SEAL.open("login", base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@pytest.mark.parametrize("text", ["", "A", "AAAA", "a b", "é" * 40, "+/" * 40, "A" * 60])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    """Also what is no base64url, or shorter than a nonce."""
    with pytest.raises(Malformed):
        SEAL.open("login", text)


def test_nobody_can_tell_two_seals_of_the_same_apart_from_others() -> None:
    """Each has a nonce of its own, and the content does not show."""
    assert SEAL.seal("login", b"content") != SEAL.seal("login", b"content")
    assert "content" not in SEAL.seal("login", b"content")


def test_a_derived_secret_belongs_to_its_purpose_and_name() -> None:
    """It has 43 characters (RFC 7636 section 4.1) and is the same each time."""
    made = SEAL.secret("PKCE verifier", "id")
    assert made == SEAL.secret("PKCE verifier", "id")
    assert len(made.reveal()) == 43
    others = [SEAL.secret("PKCE", "verifier id"), SEAL.secret("PKCE verifier", "ie")]
    assert made not in [*others, OTHER.secret("PKCE verifier", "id")]


async def test_all_replicas_share_the_key_that_the_first_made() -> None:
    """Also if two made one at a time, and if the answer to the writing got lost."""
    records = MemoryRecords[Secret]()
    records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), acted=True, on="put")
    first, second = await open_login_seal(records), await open_login_seal(records)
    assert second.open("login", first.seal("login", b"content")) == b"content"
    assert len(records.history) == 1


async def test_without_a_key_there_is_no_seal() -> None:
    """The store took none: the broker does not start with one of its own."""
    records = MemoryRecords[Secret]()
    records.fail_next(StoreUnavailable("OpenBao/Vault does not answer."), on="put")
    with pytest.raises(StoreUnavailable):
        await open_login_seal(records)


@pytest.mark.parametrize("value", ["", "short", "é", "A" * 44])
async def test_a_damaged_key_is_said(value: str) -> None:
    """Nothing is sealed with it."""
    records = MemoryRecords[Secret]()
    await records.put(LOGIN_KEY_SEGMENT, Secret("login key", value), 0)
    with pytest.raises(RecordDamaged):
        await open_login_seal(records)
