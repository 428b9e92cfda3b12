"""A compact JWS is taken apart and put together again, in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.compact import part, put_together, taken_apart
from credbroker.wire.jwt import LARGEST_BYTES


@given(st.binary(min_size=1), st.binary(min_size=1), st.binary(min_size=1))
def test_what_was_put_together_comes_apart(header: bytes, claims: bytes, signature: bytes) -> None:
    """Into the same header, signed part and signature."""
    signed = part(header) + b"." + part(claims)
    token = put_together(signed, signature)
    assert taken_apart(token) == (part(header), signed, signature)


def test_it_is_written_without_padding() -> None:
    """RFC 7515, appendix A.1's header."""
    assert part(b'{"typ":"JWT",\r\n "alg":"HS256"}') == b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a.b.c.d", "a.b.", "a.b.A", "a.b.AA==", "a.b.A A", "a.b.A\n", "a.b.AB", "a.b.A*",
     "ä.b.AA", "a" * LARGEST_BYTES + ".b.AA"],
)  # fmt: skip
def test_anything_else_is_refused_without_being_repeated(text: str) -> None:
    """`AB` has bits that nobody wrote: two texts would be one signature."""
    with pytest.raises(Malformed) as refused:
        taken_apart(Secret("access token", text))
    assert not text or text not in refused.value.sentence
