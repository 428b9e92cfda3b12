"""A JWT's readable parts as texts."""

from __future__ import annotations

import base64
import json

import pytest

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.jwt_text import claims_text, header_text


def token(claims: str, header: str = '{"alg":"RS256"}') -> Secret:
    """Return a token with these parts."""
    parts = [
        base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode() for one in (header, claims)
    ]
    return Secret("access token", ".".join([*parts, "c2ln"]))


def test_parts_are_indented_and_keep_their_order() -> None:
    """As jq prints them; letters of all scripts stay."""
    assert header_text(token("{}")) == '{\n  "alg": "RS256"\n}'
    assert claims_text(token('{"b":"é","a":[1]}')) == '{\n  "b": "é",\n  "a": [\n    1\n  ]\n}'


def test_whole_numbers_can_be_written_otherwise() -> None:
    """At any depth; neither flags, nor parts, nor what is below zero."""
    claims = token('{"exp":5,"a":{"b":[6,-7]},"ok":true,"x":1.5,"t":"8"}')
    written = json.loads(claims_text(claims, lambda number: f"<{number}>"))
    assert written == {"exp": "<5>", "a": {"b": ["<6>", -7]}, "ok": True, "x": 1.5, "t": "8"}


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "e30.!!.x", "e30.bm8.x", "e30.gICA.x"])
def test_what_is_none_is_told(text: str) -> None:
    """Without quoting it."""
    with pytest.raises(Malformed) as told:
        claims_text(Secret("access token", text))
    assert not text or text not in told.value.sentence
