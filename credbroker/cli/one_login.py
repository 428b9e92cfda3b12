"""One login for all who need it: what a command does under a login, and what where that is over.

Of callers that need the same login at the same moment one asks the person; the others wait, and
use what came of it. If nothing came of it they end too, so a prompt that nobody answers is never
followed by the next. Where nobody sits at a terminal nothing is begun, unless it was asked for:
what is needed is said at once, with the command that does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Mapping, Optional, TypeVar

from credbroker.cli.choice import choose_address, choose_ca_file, choose_login, choose_place
from credbroker.cli.desk import plain
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile, naming_the_login
from credbroker.domain.errors import (
    CredbrokerError,
    GrantInDoubt,
    LeaseEnded,
    LeaseUnknown,
    LocalFileUnfit,
    LoginNeeded,
    Malformed,
)

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from credbroker.cli.desk import Desk
    from credbroker.wire.native import StartLogin

T = TypeVar("T")

WAIT_SECONDS = 3600.0
"""Longer than issuers let a person take for a login: half an hour is in RFC 8628 section 3.2."""

_MENDED_BY_A_LOGIN = (GrantInDoubt, LeaseEnded, LeaseUnknown, LoginNeeded)


def add_when_needed_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whether a login that is needed is begun at once."""
    begins = parser.add_mutually_exclusive_group()
    for option, means, words in (
        ("--login", True, "log in if that is needed (default: at a terminal only)"),
        ("--no-login", False, "say that a login is needed, and begin none"),
    ):
        begins.add_argument(
            option, dest="login", action="store_const", const=means, default=None, help=words
        )


def under_login(args: argparse.Namespace, desk: Desk, deed: Callable[[LeaseFile], T]) -> T:
    """Return what `deed` returns for the login that is meant, after a login if one is needed and wanted.

    Raises:
        LoginNeeded: A login is needed, and nobody is there to be asked.
        CredbrokerError: What went wrong in `deed`, naming the login that mends it.
    """
    lease: Optional[LeaseFile] = None
    try:
        _, lease = choose_login(args.issuer, args.role, desk.environ)
        with naming_the_login(lease):
            return deed(lease)
    except _MENDED_BY_A_LOGIN as needed:
        if not (desk.can_ask() if args.login is None else args.login):
            raise
        lease = _made_anew(lease, args, desk, needed)
    with naming_the_login(lease):
        return deed(lease)


def _made_anew(
    before: Optional[LeaseFile], args: argparse.Namespace, desk: Desk, needed: CredbrokerError
) -> LeaseFile:
    """Log in where `before` was, or else where the arguments and the environment say."""
    from credbroker.wire.native import StartLogin

    ca_file = choose_ca_file(args, desk.environ)
    if before is not None:
        wanted, address = StartLogin(before.issuer, before.role), before.broker
        ca_file = ca_file or before.ca_file
    else:
        address = _address(desk.environ, needed)
        wanted = choose_place(args.issuer, args.role, desk.broker(address, ca_file))
    desk.say(plain(needed.sentence))
    return log_in_once(wanted, before, desk, address, ca_file)


def _address(environ: Mapping[str, str], needed: CredbrokerError) -> str:
    try:
        return choose_address(None, environ)
    except Malformed:
        raise needed from None


def turn_of(environ: Mapping[str, str], issuer: str, role: str) -> Path:
    """Return the file whose lock is the turn to make this login, for all programs of this person."""
    return lease_file.person_path(environ, issuer, role).with_suffix(".lock")


def log_in_once(
    wanted: StartLogin,
    before: Optional[LeaseFile],
    desk: Desk,
    address: str,
    ca_file: Optional[str],
) -> LeaseFile:
    """Return a login that is another one than `before`, made here or by another caller meanwhile.

    Raises:
        LoginNeeded: The login that was waited for came to nothing.
        CredbrokerError: What went wrong with the one made here.
    """
    from credbroker.cli.login import log_in
    from credbroker.cli.turns import turn

    place = desk.environ, wanted.issuer, str(wanted.role)
    lease_file.make_leases_folder(desk.environ, desk.entropy)

    def found() -> Optional[LeaseFile]:
        """Return the login that is there by now, if it is another one."""
        login = _read(lease_file.person_path(*place))
        return None if login == before else login

    in_vain = LoginNeeded(
        f"The login to {wanted.issuer} that was waited for came to nothing.",
        f"Log in with: credbroker login {wanted.issuer} --role {wanted.role}",
    )
    with turn(
        turn_of(*place),
        desk.clock,
        WAIT_SECONDS,
        waiting=lambda: desk.say(f"Waiting for the login to {wanted.issuer} that is under way."),
        in_vain=lambda: in_vain,
        enough=lambda: found() is not None,
    ) as waited:
        login = found()
        if login is not None:
            return login
        if waited:
            raise in_vain
        return log_in(wanted, "auto", desk, address, ca_file)


def _read(path: Path) -> Optional[LeaseFile]:
    try:
        return lease_file.read(path)
    except LocalFileUnfit:
        return None
