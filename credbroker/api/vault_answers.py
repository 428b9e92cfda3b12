"""Answers in Vault's form, for htgettoken and HTCondor's vault credmon.

Those clients act on what they read. The credmon deletes a person's stored lease and token when an
error holds the words "permission denied": they stand here for a lease that was ended or ran out, and
in no other answer. htgettoken begins a new login on whatever is no success.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence

from aiohttp import web

from credbroker.api.problems import retry_after, status_of
from credbroker.domain.errors import CredbrokerError, GrantLost, LeaseEnded, LeaseUnknown
from credbroker.domain.leases import Lease, LeaseToken
from credbroker.wire.htvault import write_envelope, write_errors

# The words on which a credmon deletes; a name that somebody typed must not bring them in either.
DEADLY = "permission denied"
# What htgettoken's people do, in the place of a command that they may not have.
LOG_IN_AGAIN = "Run htgettoken again to log in."
_DEADLY = re.compile(r"permission\s+denied", re.IGNORECASE)


def answer(
    data: Mapping[str, object] | None = None,
    auth: Mapping[str, object] | None = None,
    *,
    status: int = 200,
    warnings: Sequence[str] = (),
) -> web.Response:
    """Return a success in Vault's envelope; with neither `data` nor `auth` they are null."""
    body = write_envelope(data, auth, warnings)
    return web.Response(status=status, body=body, content_type="application/json")


def auth_of(
    token: LeaseToken,
    lease: Lease,
    now: datetime.datetime,
    metadata: Mapping[str, object],
    policies: Sequence[str] = (),
) -> dict[str, object]:
    """Return the `auth` that hands a lease to a client, with the whole seconds left of it."""
    return {
        "client_token": token.text(),
        "policies": list(policies),
        "token_policies": list(policies),
        "metadata": dict(metadata),
        "lease_duration": seconds_left(lease, now),
        "renewable": False,
        "token_type": "service",
        "orphan": not lease.ancestors,
    }


def seconds_left(lease: Lease, now: datetime.datetime) -> int:
    """Return how many whole seconds a lease still lasts."""
    return max(0, math.floor((lease.ends_at - now).total_seconds()))


def errors(*texts: str, status: int = 400) -> web.Response:
    """Return a refusal whose words the clients compare, such as "authorization_pending"."""
    return web.Response(status=status, body=write_errors(texts), content_type="application/json")


def vault_errors(error: CredbrokerError, request_id: str) -> web.Response:
    """Write an error with what to do about it and the request's id."""
    again = isinstance(error, GrantLost | LeaseEnded | LeaseUnknown)
    remedy = LOG_IN_AGAIN if again and "credbroker login" in error.remedy else error.remedy
    sentence = _DEADLY.sub("not allowed", f"{error.sentence} {remedy} ({request_id})")
    if isinstance(error, LeaseEnded):
        sentence = f"{DEADLY}: {sentence}"
    status = status_of(error)
    # As Vault: a lease that is not known is refused like a right that is missing.
    refused = errors(sentence, status=403 if status == 401 else status)
    return retry_after(refused, error)
