"""`credbroker token`: puts a fresh access token where programs look for it, and says where.

A token that is there already and is exactly what is asked for, with enough life left, is answered
without asking anybody; unless file or token come from the future, which shows that this machine's
clock was set back and cannot tell how much life is left. Standard output holds the path, the token,
or one of the forms that were asked for, and nothing else.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, List, NamedTuple, Optional, cast

from credbroker.cli import quick
from credbroker.cli.choice import (
    add_login_arguments,
    add_right_arguments,
    choose_audiences,
    choose_ca_file,
    choose_scopes,
)
from credbroker.cli.desk import system_desk
from credbroker.cli.durations import parse_duration, spoken
from credbroker.cli.one_login import add_when_needed_arguments, under_login
from credbroker.delivery import discovery, token_file
from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.errors import CredbrokerError, TooSoonExpired
from credbroker.domain.scopes import ScopeSet
from credbroker.domain.tokens import WAY_SECONDS, check_times
from credbroker.wire.jwt import read_access_token

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.secret import Secret
    from credbroker.domain.tokens import AccessToken

EXAMPLE = """\
example:
  credbroker token cms --scope storage.read:/store --audience https://dav.example.org
  BEARER_TOKEN=$(credbroker token --minimum 1h -o -) gfal-ls davs://dav.example.org/store
  credbroker token --auth-header | curl -H @- https://dav.example.org/store/
  eval "$(credbroker token --env)"
"""

LEAST_SECONDS = 60

_SERVERS = ("-a", "-s", "--vaults", "--opts")
"""How htgettoken's words for a server begin."""

_UNSAID = dict.fromkeys(
    ("issuer", "role", "ca_file", "vaultserver", "scope", "audience", "out", "login")
) | dict.fromkeys(("json", "auth_header", "env", "debug"), False)
"""What the parser makes of options that are not there."""

_ISSUERS_CLOCK_AHEAD = datetime.timedelta(seconds=60)


def read_foreign(words: List[str]) -> Optional[argparse.Namespace]:
    """Return what these words say where no parser needs to be made, which takes long; else None.

    Words that name a server as htgettoken does are htgettoken's, and stay unread; the plainest of our
    own mean what `add_arguments` says.
    """
    if any(one.startswith(_SERVERS) for one in words):
        return _namespace(htgettoken=words, debug=False)
    try:
        said = quick.plain_words(words)
        minimum = parse_duration(said.pop("minimum", str(LEAST_SECONDS)))
    except (quick.Doubt, ValueError):
        return None
    fresh = said.pop("fresh", None) is not None
    return _namespace(**{**_UNSAID, **said, "minimum": minimum, "fresh": fresh})


def _namespace(**said: object) -> argparse.Namespace:
    return cast("argparse.Namespace", SimpleNamespace(**said))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker token`."""
    add_login_arguments(parser)
    parser.add_argument(
        "-a",
        "--vaultserver",
        metavar="HOST",
        help="ask this server as htgettoken does: all words are htgettoken's then",
    )
    add_right_arguments(parser)
    parser.add_argument(
        "--minimum",
        metavar="TIME",
        type=parse_duration,
        default=LEAST_SECONDS,
        help="how long it must still live: seconds, or as in 10m (default: 60s)",
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="write it there; - prints the token and writes no file"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print the token as JSON")
    forms.add_argument(
        "--auth-header", action="store_true", help="print it as a header of HTTP, for curl -H @-"
    )
    forms.add_argument(
        "--env", action="store_true", help='print what a shell takes with eval "$(...)"'
    )
    parser.add_argument("--fresh", action="store_true", help="ask even if the file has a good one")
    add_when_needed_arguments(parser)


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Fetch a token unless a good one is there, and print the answer; raise what went wrong."""
    if "htgettoken" in vars(args):
        from credbroker.cli.htgettoken.command import run_words

        return run_words(args.htgettoken, desk)
    desk = desk or system_desk()
    wish = Wish(choose_scopes(args.scope), choose_audiences(args.audience), args.minimum)
    path = _path(args.out, desk)

    def found_under(lease: LeaseFile) -> Found:
        found = None if args.fresh or path is None else _there_already(path, lease, wish, desk)
        return found or _fetched(lease, wish, path, choose_ca_file(args, desk.environ), desk)

    _answer(under_login(args, desk, found_under), path, desk, args)
    return 0


class Wish(NamedTuple):
    """What is asked for, as in `wire.native.AskToken`."""

    scopes: Optional[List[str]]
    audiences: Optional[List[str]]
    minimum_seconds: int


class Found(NamedTuple):
    """The token that is the answer, its issuer's short name, and when to come back for the next."""

    token: AccessToken
    issuer: str
    renew_at: datetime.datetime


def _fetched(
    lease: LeaseFile, wish: Wish, path: Optional[Path], ca_file: Optional[str], desk: Desk
) -> Found:
    from credbroker.wire.asking import AskToken  # an answer from the file is quicker without

    broker = desk.broker_of(lease, ca_file)
    fetched = broker.ask_token(AskToken(*wish))
    token = fetched.token
    left = token.seconds_left(broker.now())
    if left < wish.minimum_seconds - WAY_SECONDS:
        raise TooSoonExpired(f"The token that came lasts for {spoken(left)} only.")
    if path is not None:
        token_file.write(path, token.value, desk.entropy)
    return Found(token, fetched.given.issuer, fetched.given.renew_at)


def reusable(token: AccessToken, lease: LeaseFile, wanted: Wish, now: datetime.datetime) -> bool:
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


def _there_already(path: Path, lease: LeaseFile, wish: Wish, desk: Desk) -> Optional[Found]:
    """Return what the file at `path` holds if it will do; what else is there is no matter."""
    now = desk.clock.now()
    try:
        value = discovery.read_file(path)
        token = None if value is None else read_access_token(value, now)
        if token is None or not reusable(token, lease, wish, now):
            return None
        check_times(token, now)
        if _is_from_the_future(path, token, now):
            return None
    except (CredbrokerError, OSError):
        return None
    renew_at = token.expires_at - datetime.timedelta(seconds=LEAST_SECONDS)
    return Found(token, lease.issuer, renew_at)


def _is_from_the_future(path: Path, token: AccessToken, now: datetime.datetime) -> bool:
    written_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return written_at > now or token.issued_at > now + _ISSUERS_CLOCK_AHEAD


def _path(out: Optional[str], desk: Desk) -> Optional[Path]:
    if out in {"-", "/dev/stdout"}:
        return None
    return discovery.path_for_writing(desk.environ, desk.euid) if out is None else Path(out)


def _answer(found: Found, path: Optional[Path], desk: Desk, args: argparse.Namespace) -> None:
    value = found.token.value
    if args.json:
        desk.answer(_as_json(found))
    elif args.auth_header:
        desk.out.write("Authorization: Bearer ")
        token_file.show(value, desk.out)
    elif args.env:
        _answer_for_a_shell(value, path, desk)
    elif path is None:
        token_file.show(value, desk.out)
    else:
        desk.answer(str(path))
        _say_more(found.token, desk)


def _as_json(found: Found) -> str:
    """Return what the broker says of a token, with scopes and audiences as the token names them."""
    import json

    from credbroker.wire.asking import TokenGiven

    token = found.token
    given = TokenGiven(
        access_token=token.value,
        issuer=found.issuer,
        issuer_url=token.issuer_url,
        scopes=token.scopes.texts(),
        audiences=list(token.audiences),
        jti=token.jti,
        expires_at=token.expires_at,
        renew_at=found.renew_at,
    )
    fields = json.loads(given.write())
    fields["scope"] = " ".join(fields.pop("scopes"))
    fields["audience"] = fields.pop("audiences")
    return json.dumps(fields)


def _answer_for_a_shell(value: Secret, path: Optional[Path], desk: Desk) -> None:
    """Print what sets the variables by which programs find the token, and no other one."""
    if path is None:
        desk.out.write(f"export {discovery.VALUE_VARIABLE}=")
        token_file.show(value, desk.out)
    else:
        import shlex

        desk.answer(f"unset {discovery.VALUE_VARIABLE}")
        desk.answer(f"export {discovery.FILE_VARIABLE}={shlex.quote(str(path.absolute()))}")


def _say_more(token: AccessToken, desk: Desk) -> None:
    """Tell a person how long it lasts, and whoever reads on what keeps it from being found."""
    if desk.err.isatty():
        desk.say(f"Good for {spoken(token.seconds_left(desk.clock.now()))}.")
    if desk.environ.get(discovery.VALUE_VARIABLE):
        desk.say(
            f"Beware: {discovery.VALUE_VARIABLE} is set and hides this file from programs."
            f" Unset it with: unset {discovery.VALUE_VARIABLE}"
        )
