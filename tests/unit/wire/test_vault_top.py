"""What an access point keeps is what a vault credmon reads."""

from __future__ import annotations

import json

import pytest

from credbroker.domain.names import GrantKey
from credbroker.domain.secret import Secret
from credbroker.wire.vault_top import vault_url, write_top


@pytest.mark.parametrize(
    ("credkey", "written"),
    [
        ("alice", "alice"),
        ("alice/robot", "alice/robot"),
        ("alice@example.org", "alice@example.org"),
        ("a b?c#d%e", "a%20b%3Fc%23d%25e"),
    ],
)
def test_a_login_is_read_at_its_own_path(credkey: str, written: str) -> None:
    """Whatever stands in a credkey, it ends neither the path nor the segment's meaning."""
    url = vault_url("https://b.example.org:8200", GrantKey("cms", credkey, "default"))
    assert url == f"https://b.example.org:8200/v1/secret/oauth/creds/cms/{written}:default"


def test_a_service_has_its_lease_and_a_handle_has_none() -> None:
    """On one line each, as JSON."""
    lease = Secret("lease token", "cb_x")
    assert json.loads(write_top("u", lease)) == {"vault_token": "cb_x", "vault_url": "u"}
    assert write_top("u", None) == b'{"vault_url":"u"}\n'
