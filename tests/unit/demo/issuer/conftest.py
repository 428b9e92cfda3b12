"""One issuer's books with a fake clock, for tests that need no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.demo.issuer.keys import SigningKeys
from credbroker.demo.issuer.settings import IssuerSettings
from credbroker.demo.issuer.state import IssuerState
from credbroker.host.entropy import SystemEntropy
from tests.fakes.clock import FakeClock
from tests.unit.demo.issuer.cast import ALICE, BROKER, OTHER, PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture(scope="session")
def keys() -> SigningKeys:
    """Return one set of keys for all tests that do not rotate them."""
    return SigningKeys()


@pytest.fixture
def make_state(clock: FakeClock, keys: SigningKeys) -> Callable[..., IssuerState]:
    """Return a maker of issuer states; keywords go to the settings."""

    def make(**wanted: object) -> IssuerState:
        settings = IssuerSettings(
            clients=(BROKER, OTHER, PUBLIC),
            people=(ALICE,),
            **wanted,  # type: ignore[arg-type]  # each test passes what the field takes
        )
        return IssuerState(settings, clock, SystemEntropy(), keys, url="https://issuer.test/")

    return make


@pytest.fixture
def state(make_state: Callable[..., IssuerState]) -> IssuerState:
    """Return an issuer with usual settings."""
    return make_state()
