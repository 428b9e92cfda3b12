"""`credbroker token`: puts a fresh access token where programs look for it, and says where.

A token that is there already and is exactly what is asked for, with enough life left, is answered
without asking anybody; unless file or token come from the future, which shows that this machine's
clock was set back and cannot tell how much life is left. Standard output holds the path, the token, or JSON, and nothing else.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from credbroker.cli.choice import (
    add_login_arguments,
    choose_audiences,
    choose_ca_file,
    choose_login,
    choose_scopes,
)
from credbroker.cli.desk import system_desk
from credbroker.cli.durations import parse_duration, spoken
from credbroker.delivery import discovery, token_file
from credbroker.delivery.lease_file import naming_the_login
from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.errors import CredbrokerError
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import check_times
from credbroker.wire.jwt import read_access_token
from credbroker.wire.native import AskToken, TokenGiven

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken

EXAMPLE = """\
example:
  credbroker token cms --scope storage.read:/store --audience https://dav.example.org
  BEARER_TOKEN=$(credbroker token --minimum 1h --out -) gfal-ls davs://dav.example.org/store
"""

LEAST_SECONDS = 60
_ISSUERS_CLOCK_AHEAD = datetime.timedelta(seconds=60)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker token`."""
    add_login_arguments(parser)
    parser.add_argument(
        "--scope", metavar="S", action="append", help="one scope; repeat it (default: all granted)"
    )
    parser.add_argument("--audience", metavar="A", action="append", help="one audience; repeat it")
    parser.add_argument(
        "--minimum",
        metavar="TIME",
        type=parse_duration,
        default=LEAST_SECONDS,
        help="how long it must still live: seconds, or as in 10m (default: 60s)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write it there; - prints the token and writes no file"
    )
    parser.add_argument("--json", action="store_true", help="print the token as JSON")
    parser.add_argument("--fresh", action="store_true", help="ask even if the file has a good one")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Fetch a token unless a good one is there, and print the answer; raise what went wrong."""
    desk = desk or system_desk()
    _, lease = choose_login(args.issuer, args.role, desk.environ)
    wanted = AskToken(choose_scopes(args.scope), choose_audiences(args.audience), args.minimum)
    path = _path(args.out, desk)
    given = None if args.fresh or path is None else _there_already(path, lease, wanted, desk)
    if given is None:
        broker = desk.broker_of(lease, choose_ca_file(args, desk.environ))
        with naming_the_login(lease):
            given = broker.ask_token(wanted).given
        if path is not None:
            token_file.write(path, given.access_token, desk.entropy)
    _answer(given, path, desk, as_json=args.json)
    return 0


def reusable(
    token: AccessToken, lease: LeaseFile, wanted: AskToken, now: datetime.datetime
) -> bool:
    """True if `token` is what the broker would be asked for: this login's, no wider, no narrower."""
    asked = Right(
        ScopeSet.of(wanted.scopes if wanted.scopes is not None else lease.scopes).rights(),
        tuple(wanted.audiences if wanted.audiences is not None else (ANY_AUDIENCE,)),
    )
    return (
        token.issuer_url == lease.issuer_url
        and token.scopes.rights().same_as(asked.scopes)
        and set(token.audiences) == set(asked.audiences)
        and token.seconds_left(now) >= max(wanted.minimum_seconds, LEAST_SECONDS)
    )


def _there_already(
    path: Path, lease: LeaseFile, wanted: AskToken, desk: Desk
) -> Optional[TokenGiven]:
    """Return what the file at `path` holds if it will do; what else is there is no matter."""
    now = desk.clock.now()
    try:
        value = discovery.read_file(path)
        token = None if value is None else read_access_token(value, now)
        if token is None or not reusable(token, lease, wanted, now):
            return None
        check_times(token, now)
        if _is_from_the_future(path, token, now):
            return None
    except (CredbrokerError, OSError):
        return None
    return TokenGiven(
        access_token=token.value,
        issuer=lease.issuer,
        issuer_url=token.issuer_url,
        scopes=token.scopes.texts(),
        audiences=list(token.audiences),
        jti=token.jti,
        expires_at=token.expires_at,
        renew_at=token.expires_at - datetime.timedelta(seconds=LEAST_SECONDS),
    )


def _is_from_the_future(path: Path, token: AccessToken, now: datetime.datetime) -> bool:
    written_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return written_at > now or token.issued_at > now + _ISSUERS_CLOCK_AHEAD


def _path(out: Optional[str], desk: Desk) -> Optional[Path]:
    if out == "-":
        return None
    return Path(out) if out else discovery.path_for_writing(desk.environ, desk.euid)


def _answer(given: TokenGiven, path: Optional[Path], desk: Desk, *, as_json: bool) -> None:
    if as_json:
        desk.answer(given.write().decode())
    elif path is None:
        token_file.show(given.access_token, desk.out)
    else:
        desk.answer(str(path))
    left = spoken((given.expires_at - desk.clock.now()).total_seconds())
    if path is not None and desk.err.isatty():
        desk.say(f"Good for {left}.")
    if path is not None and desk.environ.get(discovery.VALUE_VARIABLE):
        desk.say(
            f"Beware: {discovery.VALUE_VARIABLE} is set and hides this file from programs."
            f" Unset it with: unset {discovery.VALUE_VARIABLE}"
        )
