"""What came of a refresh never shows the secrets in it."""

from __future__ import annotations

from credbroker.domain.errors import IssuerUnreachable
from credbroker.domain.outcomes import NotActedOn, Renewed, Unclear
from credbroker.domain.secret import Secret


def test_an_outcome_can_be_printed_without_giving_anything_away() -> None:
    """In a log line or a failing test."""
    renewed = Renewed(Secret("access token", "aaa-secret"), Secret("refresh token", "rrr-secret"))
    assert "secret" not in repr(renewed).replace("Secret", "")


def test_an_issuer_that_names_no_pause_asks_for_none() -> None:
    """`Retry-After` is the issuer's to send."""
    error = IssuerUnreachable("The issuer does not answer.")
    assert NotActedOn(error).retry_after_seconds is None
    assert Unclear(error).retry_after_seconds is None
