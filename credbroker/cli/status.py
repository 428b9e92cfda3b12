"""`credbroker status`: how each login stands, and the command that mends it.

What this machine knows is shown even if a broker is away; so is what the person should know of what
is to come, such as the end of the login at the issuer. The exit code is that of the worst row,
by who must act first: the person (4, then 5), nobody (3), whoever keeps the files here (2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from credbroker.cli.choice import add_ca_argument, choose_ca_file
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import spoken
from credbroker.cli.exits import (
    FAILED,
    LOGIN_NEEDED,
    REFUSED,
    TOO_SOON_EXPIRED,
    UNREACHABLE,
    USAGE,
    exit_code,
)
from credbroker.delivery import discovery, lease_file
from credbroker.delivery.lease_file import login_remedy
from credbroker.domain.errors import (
    CredbrokerError,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
)
from credbroker.domain.grants import GrantState
from credbroker.wire.fields import write_optional_instant
from credbroker.wire.jwt import read_access_token

if TYPE_CHECKING:
    import argparse
    import datetime

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken
    from credbroker.wire.native import LeaseStatus

EXAMPLE = """\
example:
  credbroker status
"""

_GOOD = frozenset({GrantState.READY.value, GrantState.CLAIMED.value})
_UNKNOWN = "?"
_WORST_FIRST = (LOGIN_NEEDED, REFUSED, TOO_SOON_EXPIRED, UNREACHABLE, USAGE, FAILED, 0)


@dataclass(frozen=True)
class Standing:
    """How one login stands: what its file says, what the broker says, and what is wrong."""

    issuer: str
    role: str
    lease: Optional[LeaseFile]
    told: Optional[LeaseStatus]
    token_until: Optional[datetime.datetime]
    state: str
    remedy: str
    code: int

    @property
    def login_until(self) -> Optional[datetime.datetime]:
        """When the login ends: by the broker's word, or else by the lease file's."""
        if self.told is not None:
            return self.told.lease_ends_at
        return None if self.lease is None else self.lease.lease_ends_at

    @property
    def refreshed_at(self) -> Optional[datetime.datetime]:
        """When the grant was last refreshed, if the broker could say."""
        return None if self.told is None else self.told.last_refresh_at

    @property
    def notices(self) -> List[str]:
        """What the person should know although nothing is wrong with this login yet."""
        told = self.told
        if told is None or self.lease is None:
            return []
        found = []
        if told.log_in_before is not None:
            before = at_minute(told.log_in_before)
            found.append(f"Log in again before {before} with: {self.lease.login_command}")
        if told.trouble is not None:
            found.append(told.trouble)
        if told.tokens_last_until is not None:
            found.append(f"Tokens in use last until {at_minute(told.tokens_last_until)}.")
        if told.narrowing is not None:
            found.append(told.narrowing)
        return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker status`."""
    add_ca_argument(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Print how each login stands; raise `LoginNeeded` if there is none."""
    desk = desk or system_desk()
    ca_file = choose_ca_file(args, desk.environ)
    token = _delivered_token(desk)
    standings = [
        _look_up(path, token, ca_file, desk) for path in lease_file.person_paths(desk.environ)
    ]
    if args.json:
        desk.answer(json.dumps([_as_fields(one) for one in standings]))
    if not standings:
        raise LoginNeeded("You are not logged in anywhere.", "Log in with: credbroker login")
    if not args.json:
        _print_table(standings, desk)
    return min((one.code for one in standings), key=_WORST_FIRST.index)


def _delivered_token(desk: Desk) -> Optional[AccessToken]:
    try:
        value = discovery.read_file(discovery.path_for_writing(desk.environ, desk.euid))
        return None if value is None else read_access_token(value, desk.clock.now())
    except CredbrokerError:
        return None  # somebody else's file, or no token of the profile: not one of these logins


def _look_up(
    path: Path, token: Optional[AccessToken], ca_file: Optional[str], desk: Desk
) -> Standing:
    try:
        lease = lease_file.read(path)
    except LocalFileUnfit as unfit:
        issuer, _, role = path.stem.partition("+")
        remedy = f"{unfit.sentence} {unfit.remedy}"
        return Standing(issuer, role, None, None, None, "unreadable", remedy, exit_code(unfit))
    told, state, remedy, code = _ask(lease, ca_file, desk)
    is_its_own = token is not None and token.issuer_url == lease.issuer_url
    until = token.expires_at if token is not None and is_its_own else None
    return Standing(lease.issuer, lease.role, lease, told, until, state, remedy, code)


def _ask(
    lease: LeaseFile, ca_file: Optional[str], desk: Desk
) -> Tuple[Optional[LeaseStatus], str, str, int]:
    """Return what the broker says, the state in a word, the remedy if any, and the exit code."""
    try:
        told = desk.broker_of(lease, ca_file).lease_status()
    except (LeaseEnded, LeaseUnknown) as over:
        return None, "ended", login_remedy(lease), exit_code(over)
    except CredbrokerError as error:
        return None, "not known now", f"{error.sentence} {error.remedy}", exit_code(error)
    if told.grant_state not in _GOOD:
        return told, told.grant_state, login_remedy(lease), LOGIN_NEEDED
    return told, GrantState.READY.value, "", 0


def _as_fields(one: Standing) -> Dict[str, object]:
    told = one.told
    return {
        "issuer": one.issuer,
        "role": one.role,
        "credkey": one.lease and one.lease.credkey,
        "broker": one.lease and one.lease.broker,
        "state": one.state,
        "login_ends_at": write_optional_instant(one.login_until),
        "token_expires_at": write_optional_instant(one.token_until),
        "last_refresh_at": write_optional_instant(one.refreshed_at),
        "log_in_before": write_optional_instant(told.log_in_before if told else None),
        "trouble": told.trouble if told else None,
        "tokens_last_until": write_optional_instant(told.tokens_last_until if told else None),
        "narrowing": told.narrowing if told else None,
        "remedy": one.remedy or None,
    }


def _print_table(standings: List[Standing], desk: Desk) -> None:
    head = ("ISSUER", "ROLE", "WHO", "LOGIN LEFT", "TOKEN LEFT", "STATE", "LAST REFRESH")
    now = desk.clock.now()
    rows = [head, *(_row(one, now) for one in standings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        desk.answer("  ".join(cells).rstrip())
    for one in standings:
        for sentence in filter(None, [one.remedy, " ".join(one.notices)]):
            desk.answer(f"\n{plain(f'{one.issuer}, {one.role}')}: {plain(sentence)}")


def _row(one: Standing, now: datetime.datetime) -> Tuple[str, ...]:
    cells = (
        one.issuer,
        one.role,
        one.lease.credkey if one.lease else _UNKNOWN,
        _left(one.login_until, now) if one.login_until else _UNKNOWN,
        _left(one.token_until, now) if one.token_until else "none",
        one.state,
        f"{spoken((now - one.refreshed_at).total_seconds())} ago" if one.refreshed_at else _UNKNOWN,
    )
    return tuple(plain(cell) for cell in cells)


def _left(until: datetime.datetime, now: datetime.datetime) -> str:
    return spoken((until - now).total_seconds()) if until > now else "over"
