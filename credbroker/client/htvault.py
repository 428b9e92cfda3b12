"""What only the paths in HTVault's place offer: a lease that reaches as far and lasts less long."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Optional, Tuple, Type

from credbroker.client.http11 import Request
from credbroker.domain.errors import (
    BrokerUnreachable,
    CredbrokerError,
    LeaseEnded,
    TooManyRequests,
)
from credbroker.domain.leases import LeaseToken
from credbroker.wire.fields import parse_object, write_object

if TYPE_CHECKING:
    from credbroker.client.broker import Send
    from credbroker.domain.secret import Secret

_CREATE = "/v1/auth/token/create"
_KINDS = {403: LeaseEnded, 429: TooManyRequests}


def shorten(
    send: Send, lease_token: Secret, request_id: str, seconds: Optional[int] = None
) -> Tuple[Secret, datetime.timedelta]:
    """Make a lease of one's own from a login's, and return it with how long it lasts from now.

    Args:
        send: The way to the broker.
        lease_token: The login's lease; the new one ends with it.
        request_id: By which the broker's operators find this request.
        seconds: How long it should last; None for as long as the login's.

    Raises:
        LeaseEnded: The login's lease is over, or not known.
        TooManyRequests: Leases are made too often.
        BrokerUnreachable: No lease came, for another reason.
    """
    wish = {} if seconds is None else {"ttl": f"{seconds}s"}
    headers = {
        "Content-Type": "application/json",
        "X-Request-Id": request_id,
        "X-Vault-Token": lease_token.reveal(),
    }
    answer = send(Request("POST", _CREATE, headers, write_object(wish)))
    if answer.status != 200:
        raise _refusal(answer.status)
    try:
        given = parse_object(answer.body, "The answer").object("auth")
        lasts = datetime.timedelta(seconds=given.number("lease_duration"))
        return LeaseToken.parse(given.text("client_token")).text(), lasts
    except CredbrokerError as unread:
        raise BrokerUnreachable(
            f"Something other than a broker answered: {unread.sentence}"
        ) from None


def _refusal(status: int) -> CredbrokerError:
    kind: Type[CredbrokerError] = _KINDS.get(status, BrokerUnreachable)
    return kind(f"The broker made no lease for the access point; its answer has status {status}.")
