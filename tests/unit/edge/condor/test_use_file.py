"""What lies in a `.use`, whoever wrote it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from credbroker.domain.errors import Malformed
from credbroker.edge.condor.use_file import read_use
from tests.fakes.broker import access_token

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def test_both_forms_are_read_and_any_profile_of_token() -> None:
    """A bare token with a line end, or one line of JSON; a SciToken has no WLCG version."""
    scitoken: dict[str, Any] = {"wlcg.ver": None, "ver": "scitoken:2.0"}
    value = access_token(NOW, **scitoken)
    bare = value.reveal().encode() + b"\n"
    as_json = json.dumps({"access_token": value.reveal(), "expires_in": 5}).encode() + b"\n"
    for content in (bare, as_json):
        token = read_use(content, NOW)
        assert token.value == value
        assert token.seconds_left(NOW) == 3600


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"x509 proxy", b"{\xff", b"\xff\xfe"])
def test_what_is_no_token_is_said(content: bytes) -> None:
    """HTCondor ships anything; nothing else has an end that could be read."""
    with pytest.raises(Malformed):
        read_use(content, NOW)
