"""What is sealed opens with the private half alone, and only as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import RecordDamaged
from credbroker.domain.marks import SpoolKey
from credbroker.domain.secret import Secret
from credbroker.stores.sealing import Opener, Sealer, new_key

KEY = new_key()


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_again(content: bytes) -> None:
    """Whatever it was; it grows by 48 bytes."""
    sealed = Sealer(KEY).sealed(content)
    assert Opener(KEY).opened(sealed) == content
    assert len(sealed) == len(content) + 48


def test_the_same_is_never_sealed_alike() -> None:
    """So that nobody sees whether a record has changed."""
    assert Sealer(KEY).sealed(b"x") != Sealer(KEY).sealed(b"x")


def test_sealing_needs_no_private_half() -> None:
    """A spool goes on without it."""
    public_only = SpoolKey(KEY.public, Secret("spool key", "gone"))
    assert Opener(KEY).opened(Sealer(public_only).sealed(b"x")) == b"x"


def test_another_key_opens_nothing() -> None:
    """And is no error: somebody else's entry may lie there."""
    assert Opener(new_key()).opened(Sealer(KEY).sealed(b"x")) is None


@given(st.integers(0, 52), st.integers(1, 255))
def test_a_changed_byte_opens_nothing(place: int, change: int) -> None:
    """Wherever it is."""
    sealed = bytearray(Sealer(KEY).sealed(b"12345"))
    sealed[place] ^= change
    assert Opener(KEY).opened(bytes(sealed)) is None


@pytest.mark.parametrize("length", [0, 1, 31, 47])
def test_what_is_too_short_opens_nothing(length: int) -> None:
    """Not even with an error of its own."""
    assert Opener(KEY).opened(bytes(length)) is None


@pytest.mark.parametrize("text", ["short", "", "!" * 43, "ä" * 43])
def test_a_damaged_key_is_told_as_such(text: str) -> None:
    """With what to restore, and without the key."""
    with pytest.raises(RecordDamaged, match="damaged") as sealing:
        Sealer(SpoolKey(text, KEY.private))
    with pytest.raises(RecordDamaged, match="damaged"):
        Opener(SpoolKey(KEY.public, Secret("spool key", text)))
    assert "marks/spool-key" in sealing.value.remedy
