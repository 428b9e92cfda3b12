"""What an answer of OpenBao or Vault means: done, not done, unclear, not now; and what time it is there.

The server's own words go into no error: they may hold what was written.
"""

from __future__ import annotations

import datetime
import email.utils
import json
from typing import Any

from credbroker.domain.errors import StoreMisconfigured, StoreUnavailable, StoreUnclear
from credbroker.ports import HttpAnswer, StaleVersionError

_STALE = "check-and-set parameter did not match"
# "waiting for the primary to upgrade from …" on a standby, "Upgrading from …" on the active node.
_NOT_READY = "from non-versioned to versioned data"


def json_of(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON object of an answer; raise `StoreUnavailable` if it is none."""
    try:
        read = json.loads(answer.body)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise StoreUnavailable("What answers at the OpenBao/Vault address does not speak its API.")
    return read


def age_seconds(created: str, answer: HttpAnswer) -> float:
    """Return how old a record is by Vault's own clock: its `Date` against `created_time`."""
    said = _said_at(answer)
    try:
        # Nanoseconds are more than a datetime holds.
        born = datetime.datetime.fromisoformat(f"{created[:19]}+00:00")
    except ValueError:
        born = None
    if said is None or born is None:
        raise StoreUnavailable("OpenBao/Vault did not say what time it is.")
    return max(0.0, (said - born).total_seconds())


def _said_at(answer: HttpAnswer) -> datetime.datetime | None:
    """Return what time it was by the server's clock, if it said so."""
    try:
        said = email.utils.parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    return said if said.tzinfo is not None else None


def seconds_off(
    answer: HttpAnswer, asked_at: datetime.datetime, answered_at: datetime.datetime
) -> float | None:
    """Return how far our clock is ahead of the server's, negative if behind; None if untold.

    The server looked at its clock between the two times of ours, which may be far apart if this
    program was stopped meanwhile: only what falls outside is off.
    """
    said = _said_at(answer)
    if said is None:
        return None
    if said > answered_at:
        return (answered_at - said).total_seconds()
    return max(0.0, (asked_at - said).total_seconds())


def cannot_serve(answer: HttpAnswer, *, writing: bool) -> bool:
    """Tell if the node certainly did not do what was asked, and it or another one may before long."""
    # A redirect names the active node as a standby knows it, which may be dead.
    if answer.status in {412, 429, 472, 473, 503} or 300 <= answer.status < 400:
        return True
    if answer.status >= 500:
        return not writing
    return answer.status == 400 and _NOT_READY.encode() in answer.body


def checked(answer: HttpAnswer, *, writing: bool = False) -> HttpAnswer:
    """Return a successful answer; raise what any other one means, but for those that cannot serve.

    Raises `StaleVersionError`, `StoreMisconfigured`, `StoreUnavailable` where the server failed, and
    `StoreUnclear` if a write was asked for that may have been made.
    """
    if answer.status in {200, 204}:
        return answer
    text = answer.body.decode("utf-8", "replace")
    if answer.status == 400 and _STALE in text:
        raise StaleVersionError
    if answer.status >= 500:
        if writing:
            raise StoreUnclear("OpenBao/Vault failed in the middle of a write.")
        # A standby that has just started answers so for a moment, to a login too.
        raise StoreUnavailable(f"OpenBao/Vault failed with status {answer.status}.")
    raise StoreMisconfigured(f"OpenBao/Vault refuses a request with status {answer.status}.")
