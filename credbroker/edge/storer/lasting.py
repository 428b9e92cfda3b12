"""How long a login lasts, and the access point's own lease: rules of time, and the making of it.

- A job that may need tokens for longer than the login lasts is refused before it is queued.
- The access point gets a lease of its own. Where it was said how long jobs wait and run, it lasts a
  day longer than that; otherwise as long as the login.
- That lease serves the next submits too, until it would be too short for one of them.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING

from credbroker.cli.desk import at_minute
from credbroker.client.htvault import shorten
from credbroker.delivery.lease_file import LeaseFile, naming_the_login
from credbroker.domain.errors import TooSoonExpired

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.edge.storer.logins import LoggedIn
    from credbroker.wire.native import LeaseStatus

UNSTATED_SECONDS = 7 * 86400
"""What a lease must still last where nobody said how long jobs take: as long as credd keeps a file."""
SPARE_SECONDS = 86400
"""How much longer than stated a lease is made, so that the next submits need none."""

_ROUNDING = datetime.timedelta(seconds=60)


def end_of(told: LeaseStatus) -> datetime.datetime:
    """Return until when the login gives tokens, as far as can be known."""
    return min(told.lease_ends_at, told.log_in_before or told.lease_ends_at)


def check_outlasts(
    login: LoggedIn, stated_seconds: int | None, now: datetime.datetime
) -> datetime.datetime:
    """Return when the login ends; raise `TooSoonExpired` if that is before the job is done."""
    end = end_of(login.told)
    if stated_seconds is not None and end < now + datetime.timedelta(seconds=stated_seconds):
        until = now + datetime.timedelta(seconds=stated_seconds)
        raise TooSoonExpired(
            f"The login to {login.lease.issuer} ends on {at_minute(end)}, and the job may need it"
            f" until {at_minute(until)}.",
            f"Log in again first: {login.lease.login_command}",
        )
    return end


def will_do(
    kept: LeaseFile | None, login: LoggedIn, stated_seconds: int | None, now: datetime.datetime
) -> bool:
    """True if the access point's lease is of this login's person and lasts long enough."""
    lease = login.lease
    if kept is None or (kept.broker, kept.credkey) != (lease.broker, lease.credkey):
        return False
    seconds = UNSTATED_SECONDS if stated_seconds is None else stated_seconds
    needed = min(now + datetime.timedelta(seconds=seconds), login.told.lease_ends_at)
    return kept.lease_ends_at + _ROUNDING >= needed


def make(login: LoggedIn, stated_seconds: int | None, desk: Desk, ca_file: str | None) -> LeaseFile:
    """Have the broker make a lease for the access point.

    Raises:
        LeaseEnded: The login is over.
        Unavailable: No lease came.
    """
    lease, seconds = login.lease, None
    if stated_seconds is not None:
        seconds = stated_seconds + SPARE_SECONDS
    send = desk.open_door(lease.broker, desk.clock, ca_file or lease.ca_file, lease.ca_pem)
    with naming_the_login(lease):
        made, lasts = shorten(send, lease.lease_token, desk.entropy.token(16), seconds)
    return replace(lease, lease_token=made, lease_ends_at=desk.clock.now() + lasts)
