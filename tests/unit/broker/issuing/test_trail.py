"""The trail says what finds a token again, and never the token."""

from __future__ import annotations

import hashlib

from credbroker.broker.issuing.trail import about_signed
from tests.unit.things import access_token


def test_a_token_is_found_again_by_what_others_call_it() -> None:
    """By `jti`, by its hash, and by FTS's name for it."""
    token = access_token()
    said = about_signed(token, "rucio", "dteam")
    value = token.value.reveal().encode()
    assert said["sha256"] == hashlib.sha256(value).hexdigest()
    assert said["fts_id"] == hashlib.sha1(value, usedforsecurity=False).hexdigest()[:16]
    assert (said["jti"], said["client_id"], said["sub"]) == ("jti-1", "rucio", "sub-ada")
    assert said["community"] == "dteam"
    assert token.value.reveal() not in str(said)
