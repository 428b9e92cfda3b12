"""The table of faults and what a flaw does to claims."""

from __future__ import annotations

import pytest

from credbroker.demo.issuer import faults
from credbroker.demo.issuer.faults import Endpoint, FaultTable, Flaw

ACCESS = {
    "iss": "i",
    "aud": "a",
    "scope": "x",
    "iat": 100,
    "nbf": 40,
    "exp": 200,
    "wlcg.ver": "1.0",
}
IDENTITY = {"iss": "i", "aud": "c", "iat": 100, "nbf": 40, "exp": 200, "wlcg.ver": "1.0"}


def test_a_fault_meets_as_many_requests_as_told() -> None:
    """Once, n times, or until cleared; other endpoints see nothing of it."""
    table = FaultTable()
    table.on(Endpoint.TOKEN, faults.LOST_ANSWER)
    table.on(Endpoint.TOKEN, faults.ERROR_500, times=2)
    table.on(Endpoint.JWKS, faults.ERROR_500, times=None)
    assert table.take(Endpoint.TOKEN, {}) == [faults.LOST_ANSWER, faults.ERROR_500]
    assert table.take(Endpoint.TOKEN, {}) == [faults.ERROR_500]
    assert table.take(Endpoint.TOKEN, {}) == []
    assert all(table.take(Endpoint.JWKS, {}) for _ in range(5))
    table.clear(Endpoint.JWKS)
    assert table.take(Endpoint.JWKS, {}) == []


def test_a_fault_may_pick_its_requests() -> None:
    """What it does not pick does not use it up."""
    table = FaultTable()
    table.on(Endpoint.TOKEN, faults.SLOW_DOWN, only=faults.grant_type("refresh_token"))
    assert table.take(Endpoint.TOKEN, {"grant_type": "client_credentials"}) == []
    assert table.take(Endpoint.TOKEN, {"grant_type": "refresh_token"}) == [faults.SLOW_DOWN]
    assert table.take(Endpoint.TOKEN, {"grant_type": "refresh_token"}) == []


def test_clearing_all_clears_all() -> None:
    """No endpoint is left with a fault."""
    table = FaultTable()
    for endpoint in Endpoint:
        table.on(endpoint, faults.LOST_REQUEST, times=None)
    table.clear()
    assert [table.take(endpoint, {}) for endpoint in Endpoint] == [[]] * len(Endpoint)


@pytest.mark.parametrize(
    ("flaw", "access", "identity"),
    [
        (faults.wider_scope("y z"), {"scope": "x y z"}, {}),
        (faults.wrong_audience("b"), {"aud": "b"}, {}),
        (faults.wrong_issuer("j"), {"iss": "j"}, {"iss": "j"}),
        (faults.wlcg_version("2.0"), {"wlcg.ver": "2.0"}, {"wlcg.ver": "2.0"}),
        (faults.skewed_clock(-90), *[{"iat": 10, "nbf": -50, "exp": 110}] * 2),
        (faults.WRONG_KEY, {}, {}),
    ],
)
def test_a_flaw_changes_its_claims_and_no_other(
    flaw: Flaw, access: dict[str, object], identity: dict[str, object]
) -> None:
    """Scope and audience are spoiled in access tokens alone, the rest in both kinds."""
    assert flaw.change(ACCESS) == ACCESS | access
    assert flaw.change(IDENTITY) == IDENTITY | identity


def test_the_version_may_be_missing() -> None:
    """None leaves the claim out."""
    assert "wlcg.ver" not in faults.wlcg_version(None).change(ACCESS)
