"""`credbroker logout`: ends a login at the issuer, at the broker and on this machine.

The broker comes first: if it cannot be asked, the files stay and the command can be repeated. A
token file is removed only if the token in it can be this login's and no other's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Optional

from credbroker.cli.choice import (
    add_login_arguments,
    choose_ca_file,
    choose_login,
    readable_logins,
)
from credbroker.cli.desk import at_minute, system_desk
from credbroker.cli.durations import spoken
from credbroker.delivery import discovery, whole_file
from credbroker.domain.errors import CredbrokerError, LeaseEnded, LeaseUnknown, LoginNeeded
from credbroker.domain.scopes import ScopeSet
from credbroker.wire.fields import write_optional_instant
from credbroker.wire.jwt import read_access_token
from credbroker.wire.native import LoggedOut

if TYPE_CHECKING:
    import argparse
    import datetime

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken

EXAMPLE = """\
example:
  credbroker logout cms
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker logout`."""
    add_login_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print what was ended as JSON")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Log out; raise what went wrong, with every file still there."""
    desk = desk or system_desk()
    path, lease = choose_login(args.issuer, args.role, desk.environ)
    broker = desk.broker_of(lease, choose_ca_file(args, desk.environ))
    ended = LoggedOut(revoked=False)
    try:
        ended = broker.log_out()
        desk.say(f"Logged out of {lease.issuer} in the role {lease.role}.")
        if not ended.revoked:
            desk.say("The issuer offers no way to revoke the login there; the broker forgot it.")
    except (LeaseEnded, LeaseUnknown, LoginNeeded):
        desk.say(f"The login at {lease.issuer} in the role {lease.role} had ended already.")
    token_path = _own_token_file(path, lease, desk)
    if token_path is not None:
        whole_file.remove(token_path)
        desk.say(f"Removed the token file {token_path}.")
    whole_file.remove(path)
    _warn_of_living_tokens(ended.valid_until, broker.now(), desk)
    if args.json:
        desk.answer(json.dumps(_as_fields(lease, ended)))
    return 0


def _as_fields(lease: LeaseFile, ended: LoggedOut) -> Dict[str, object]:
    return {
        "issuer": lease.issuer,
        "role": lease.role,
        "revoked": ended.revoked,
        "tokens_valid_until": write_optional_instant(ended.valid_until),
    }


def _own_token_file(lease_path: Path, lease: LeaseFile, desk: Desk) -> Optional[Path]:
    """Return the token file if this login, and no other, can have brought the token in it."""
    path = discovery.path_for_writing(desk.environ, desk.euid)
    try:
        value = discovery.read_file(path)
        token = None if value is None else read_access_token(value, desk.clock.now())
        if token is None or not _may_be_of(token, lease):
            return None
        others = [other for at, other in readable_logins(desk.environ) if at != lease_path]
        return None if any(_may_be_of(token, other) for other in others) else path
    except CredbrokerError:
        return None


def _may_be_of(token: AccessToken, lease: LeaseFile) -> bool:
    granted = ScopeSet.of(lease.scopes).rights()
    return token.issuer_url == lease.issuer_url and not granted.missing(token.scopes.rights())


def _warn_of_living_tokens(
    until: Optional[datetime.datetime], now: datetime.datetime, desk: Desk
) -> None:
    if until is not None and until > now:
        left = spoken((until - now).total_seconds())
        desk.say(
            "Access tokens already given out stay valid for"
            f" up to {left}, until {at_minute(until)}."
        )
