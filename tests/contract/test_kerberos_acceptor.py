"""What `ports.KerberosAcceptor` promises, by the fake of the tests and by the GSS library's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from credbroker.domain.errors import LoginDenied, Malformed
from credbroker.host.kerberos import GssAcceptor
from tests.fakes.kerberos import FakeAcceptor
from tests.kdc import REALM, Kdc, missing, running_kdc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.ports import KerberosAcceptor

ADA = f"ada@{REALM}"


class Realm(Protocol):
    """Where tickets come from."""

    @property
    def acceptor(self) -> KerberosAcceptor:
        """Who checks them."""

    def token_of_ada(self) -> bytes:
        """Return a new token of ada for this acceptor."""


class FakeRealm:
    """Without a KDC."""

    def __init__(self) -> None:
        self.acceptor = FakeAcceptor()

    def token_of_ada(self) -> bytes:
        return self.acceptor.issue(ADA)


class RealRealm:
    """With one."""

    def __init__(self, kdc: Kdc, replays: Path) -> None:
        self.acceptor = GssAcceptor(kdc.add_service("broker.keytab"), replays)
        self._kdc = kdc
        self._tickets = kdc.add_person("ada")

    def token_of_ada(self) -> bytes:
        return self._kdc.token(self._tickets)


@pytest.fixture(params=["fake", "real"])
def realm(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Realm]:
    """One of each."""
    if request.param == "fake":
        yield FakeRealm()
        return
    if missing():
        pytest.skip(missing())
    with running_kdc(tmp_path) as kdc:
        monkeypatch.setenv("KRB5_CONFIG", str(kdc.config))
        real = RealRealm(kdc, tmp_path / "replays")
        yield real
        real.acceptor.close()


async def test_a_token_proves_its_principal_once(realm: Realm) -> None:
    """With the realm; the next token of the same tickets is another one."""
    token = realm.token_of_ada()
    assert await realm.acceptor.accept(token) == ADA
    with pytest.raises(LoginDenied):
        await realm.acceptor.accept(token)
    assert await realm.acceptor.accept(realm.token_of_ada()) == ADA


async def test_of_a_token_shown_many_times_at_once_one_counts(realm: Realm) -> None:
    """Whoever is first."""
    token = realm.token_of_ada()
    tries = [realm.acceptor.accept(token) for _ in range(6)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["LoginDenied"] * 5 + ["str"]


@pytest.mark.parametrize("junk", [b"\0", b"not a token", b"\x60\x82\xff\xff", b"\xff" * 70_000])
async def test_what_is_no_token_is_denied(realm: Realm, junk: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(LoginDenied):
        await realm.acceptor.accept(junk)


async def test_nothing_is_malformed(realm: Realm) -> None:
    """As for a client that has no ticket."""
    with pytest.raises(Malformed):
        await realm.acceptor.accept(b"")
