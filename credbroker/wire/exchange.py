"""What the answers to a token exchange mean (RFC 8693 section 2.2, with INDIGO IAM's deviations).

An exchange uses nothing up, so no answer leaves anything in doubt. What an issuer says of our client
here concerns exchange alone: at INDIGO IAM a client may refresh and still not exchange.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Union

from credbroker.domain.errors import ClientRejected, IssuerRefusedRequest
from credbroker.domain.outcomes import Dead, NotActedOn, Renewed
from credbroker.wire.oidc import refresh_outcome

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a kind's name

Exchanged = Union[Renewed, Dead, NotActedOn]


def exchange_outcome(
    status: int, body: bytes, retry_after_seconds: float | None = None
) -> Exchanged:
    """Say what came of an exchange; `Dead` means that the subject token is no longer taken.

    A refresh token in the answer was not asked for, and is dropped.
    """
    outcome = refresh_outcome(status, body, retry_after_seconds)
    if isinstance(outcome, Renewed):
        return replace(outcome, refresh_token=None)
    if isinstance(outcome, Dead):
        return outcome
    if isinstance(outcome.error, ClientRejected):
        return NotActedOn(
            IssuerRefusedRequest(
                "The issuer does not let the broker's client exchange tokens.",
                "The operator must have the issuer allow it, or set `exchange: false`.",
            )
        )
    return NotActedOn(outcome.error, outcome.retry_after_seconds)
