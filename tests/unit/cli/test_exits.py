"""Exit codes: one for each kind of failure, none forgotten."""

from __future__ import annotations

import pytest

from credbroker.cli.exits import EXITS, FAILED, exit_code
from credbroker.domain import errors
from credbroker.domain.errors import CredbrokerError, leaves


@pytest.mark.parametrize("kind", list(leaves()))
def test_every_kind_of_error_has_its_exit_code(kind: type[CredbrokerError]) -> None:
    """No leaf falls through the table to the code for the unforeseen."""
    assert any(issubclass(kind, row) for row, _ in EXITS)
    assert exit_code(kind("Something.")) != FAILED


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Malformed, 2),
        (errors.NotFound, 2),
        (errors.LocalFileUnfit, 2),
        (errors.BrokerUnreachable, 3),
        (errors.LoginNeeded, 4),
        (errors.LoginDenied, 4),
        (errors.LeaseEnded, 4),
        (errors.LeaseUnknown, 4),
        (errors.OutsideCeiling, 5),
        (errors.TooSoonExpired, 6),
    ],
)
def test_scripts_can_rely_on_the_codes(kind: type[CredbrokerError], code: int) -> None:
    """These numbers are documented and never change."""
    assert exit_code(kind("Something.")) == code
