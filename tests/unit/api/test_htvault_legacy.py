"""Which vault tokens are not ours is told by how they begin."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from credbroker.api.htvault_legacy import is_foreign
from tests.unit.things import LEASE_TOKEN


@pytest.mark.parametrize(
    ("shown", "foreign"),
    [
        (LEASE_TOKEN.text().reveal(), False),
        ("cb_half-a-lease", False),
        ("", False),
        ("hvs.CAESIJ", True),
        ("s.w2Xv9", True),
        ("CB_upper", True),
    ],
)
def test_all_but_our_own_leases_are_foreign(shown: str, foreign: bool) -> None:
    """A damaged lease of ours is not somebody else's, and neither is none at all."""
    request = make_mocked_request("GET", "/v1/x", headers={"X-Vault-Token": shown})
    assert is_foreign(request) is foreign


def test_a_request_without_the_header_is_not_foreign() -> None:
    """It shows nothing to pass on."""
    assert not is_foreign(make_mocked_request("GET", "/v1/x"))
