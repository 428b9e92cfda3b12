"""`credbroker status`: how each login stands, and the command that mends it.

What this machine knows is shown even if a broker is away; so is what the person should know of what
is to come, such as the end of the login at the issuer. The exit code is that of the worst row,
by who must act first: the person (4, then 5, then 6), nobody (3), whoever keeps the files here (2).
On a terminal it is a table; elsewhere the rows' cells stand between tabs, as scripts want them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterable, List, Mapping, Optional, Tuple

from credbroker.cli.choice import add_login_arguments, choose_ca_file
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import parse_duration, spoken
from credbroker.cli.exits import (
    FAILED,
    LOGIN_NEEDED,
    REFUSED,
    TOO_SOON_EXPIRED,
    UNREACHABLE,
    USAGE,
    exit_code,
)
from credbroker.cli.terminal import Colour, has_colours, painted
from credbroker.delivery import discovery, lease_file
from credbroker.delivery.lease_file import command_to_log_in, login_remedy
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
  credbroker status cms --check --for 8h || credbroker login cms
"""

_GOOD = frozenset({GrantState.READY.value, GrantState.CLAIMED.value})
_UNKNOWN = "?"
_STATE_COLUMN = 5
_COLOURS = {0: Colour.GREEN, UNREACHABLE: Colour.YELLOW, TOO_SOON_EXPIRED: Colour.YELLOW}
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
    code: int
    last_error: str = ""
    remedy: str = ""

    @property
    def login_until(self) -> Optional[datetime.datetime]:
        """When the login ends: by the broker's word, or else by the lease file's."""
        if self.told is not None:
            return self.told.lease_ends_at
        return None if self.lease is None else self.lease.lease_ends_at

    @property
    def good_until(self) -> Optional[datetime.datetime]:
        """Until when it is good without a new login, as far as that is to be seen."""
        before = None if self.told is None else self.told.log_in_before
        return min((one for one in (self.login_until, before) if one is not None), default=None)

    def held_against(self, least_seconds: int, now: datetime.datetime) -> Standing:
        """Return the same, with its own code and remedy if it is good but ends too soon."""
        until = self.good_until
        if self.code or self.lease is None or until is None:
            return self
        left = (until - now).total_seconds()
        if left >= least_seconds:
            return self
        sooner = f"The login ends in {spoken(left)}, sooner than {spoken(least_seconds)}."
        remedy = login_remedy(self.lease)
        return replace(self, code=TOO_SOON_EXPIRED, last_error=sooner, remedy=remedy)

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
    add_login_arguments(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    forms.add_argument(
        "--check",
        action="store_true",
        help="print nothing; the exit code is 0 if all is well, and else says who must act",
    )
    parser.add_argument(
        "--for",
        dest="least",
        metavar="TIME",
        type=parse_duration,
        default=0,
        help="a login that ends sooner is not good enough (exit code 6): seconds, or as in 8h",
    )


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Print how each login stands; raise `LoginNeeded` if there is none."""
    desk = desk or system_desk()
    ca_file = choose_ca_file(args, desk.environ)
    token, now = _delivered_token(desk), desk.clock.now()
    standings = [
        _look_up(path, token, ca_file, desk).held_against(args.least, now)
        for path in lease_file.person_paths(desk.environ, args.issuer, args.role)
    ]
    if args.json:
        desk.answer(json.dumps([_as_fields(one) for one in standings]))
    if not standings:
        raise _not_logged_in(args)
    if args.check:
        _complain(standings, desk)
    elif not args.json:
        _print_rows(standings, now, desk)
    return min((one.code for one in standings), key=_WORST_FIRST.index)


def _not_logged_in(args: argparse.Namespace) -> LoginNeeded:
    return LoginNeeded(
        f"You are not logged in {'there' if args.issuer or args.role else 'anywhere'}.",
        f"Log in with: {command_to_log_in(args.issuer, args.role)}",
    )


def _delivered_token(desk: Desk) -> Optional[AccessToken]:
    try:
        value = discovery.read_file(discovery.path_for_writing(desk.environ, desk.euid))
        return None if value is None else read_access_token(value, desk.clock.now())
    except CredbrokerError:
        return None  # somebody else's file, or no token of the profile: not one of these logins


def _look_up(
    path: Path, token: Optional[AccessToken], ca_file: Optional[str], desk: Desk
) -> Standing:
    issuer, _, role = path.stem.partition("+")
    try:
        lease = lease_file.read(path)
    except LocalFileUnfit as unfit:
        return _failed(Standing(issuer, role, None, None, None, "unreadable", 0), unfit)
    is_its_own = token is not None and token.issuer_url == lease.issuer_url
    until = token.expires_at if token is not None and is_its_own else None
    known = Standing(lease.issuer, lease.role, lease, None, until, GrantState.READY.value, 0)
    try:
        return _told(known, desk.broker_of(lease, ca_file).lease_status(), lease)
    except (LeaseEnded, LeaseUnknown) as over:
        over.remedy = login_remedy(lease)
        return _failed(replace(known, state="ended"), over)
    except CredbrokerError as error:
        return _failed(replace(known, state="not known now"), error)


def _failed(one: Standing, error: CredbrokerError) -> Standing:
    code = exit_code(error)
    return replace(one, code=code, last_error=error.sentence, remedy=error.remedy)


def _told(known: Standing, told: LeaseStatus, lease: LeaseFile) -> Standing:
    """Return what is known with what the broker says of it."""
    if told.grant_state in _GOOD:
        return replace(known, told=told)
    return replace(
        known,
        told=told,
        state=told.grant_state,
        code=LOGIN_NEEDED,
        last_error=told.last_error or "",
        remedy=told.remedy or login_remedy(lease),
    )


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
        "last_error": one.last_error or None,
        "last_refresh_at": write_optional_instant(one.refreshed_at),
        "log_in_before": write_optional_instant(told.log_in_before if told else None),
        "trouble": told.trouble if told else None,
        "tokens_last_until": write_optional_instant(told.tokens_last_until if told else None),
        "narrowing": told.narrowing if told else None,
        "remedy": one.remedy or None,
    }


def _complain(standings: List[Standing], desk: Desk) -> None:
    for one in standings:
        if one.code:
            desk.say(_said_of(one, filter(None, [one.last_error, one.remedy])))


def _said_of(one: Standing, sentences: Iterable[str]) -> str:
    return plain(f"{one.issuer}, {one.role}: {' '.join(sentences)}")


def _print_rows(standings: List[Standing], now: datetime.datetime, desk: Desk) -> None:
    head = ("ISSUER", "ROLE", "WHO", "LOGIN LEFT", "TOKEN LEFT", "STATE", "LAST REFRESH")
    rows = [_row(one, now) for one in standings]
    if desk.out.isatty():
        _print_table(head, rows, [one.code for one in standings], desk)
    else:
        for row in (head, *rows):
            desk.answer("\t".join(row))
    for one in standings:
        wrong = " ".join(filter(None, [one.last_error, one.remedy]))
        for sentence in filter(None, [wrong, " ".join(one.notices)]):
            desk.answer("\n" + _said_of(one, [sentence]))


def _print_table(
    head: Tuple[str, ...], rows: List[Tuple[str, ...]], codes: List[int], desk: Desk
) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    paint = has_colours(desk.out, desk.environ)

    def line(row: Tuple[str, ...], colours: Mapping[int, Colour]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        cells[-1] = row[-1]
        if paint:
            cells = [
                painted(cell, colours[at]) if at in colours else cell
                for at, cell in enumerate(cells)
            ]
        return "  ".join(cells)

    desk.answer(line(head, dict.fromkeys(range(len(head)), Colour.BOLD)))
    for row, code in zip(rows, codes):
        desk.answer(line(row, {_STATE_COLUMN: _COLOURS.get(code, Colour.RED)}))


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
