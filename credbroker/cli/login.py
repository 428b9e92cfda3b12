"""`credbroker login`: logs a person in by device flow (RFC 8628) and keeps the lease.

Whether a lease can be kept here is found out first, so nobody confirms a login in vain. Address and
code are then shown at once, also where the address is opened in a browser. Until the login has
succeeded no lease is written, so breaking it off leaves none behind; what was begun at the issuer
runs out there, since nobody asks for its outcome any more. A broker that is away for a while only
lengthens the wait.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, Optional, Protocol

from credbroker.cli import browser, qr
from credbroker.cli.choice import (
    add_ca_argument,
    choose_address,
    choose_ca_file,
    choose_issuer,
)
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.durations import spoken
from credbroker.cli.terminal import Countdown, is_dumb
from credbroker.delivery import lease_file, whole_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.errors import BrokerUnreachable, LoginExpired, Unavailable
from credbroker.wire.fields import write_instant
from credbroker.wire.native import StartLogin

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk
    from credbroker.client.blocking import BlockingClock
    from credbroker.client.broker import Broker
    from credbroker.wire.native import LoginStarted, LoginState

EXAMPLE = """\
example:
  credbroker login cms --broker https://broker.example.org:8200
"""

_LEAST_INTERVAL_SECONDS = 1.0


class Waiting(Protocol):
    """Waits in front of a person, who sees how long that may last; `cli.terminal.Countdown` is one."""

    def left(self) -> float:
        """Return how many seconds are left; negative when it is over."""

    def wait(self, seconds: float) -> None:
        """Wait, keeping what the person sees up to date."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker login`."""
    parser.add_argument(
        "issuer", metavar="ISSUER", nargs="?", help="the issuer's short name, if there are several"
    )
    parser.add_argument("--role", metavar="R", help="the role (default: the issuer's first)")
    parser.add_argument("--broker", metavar="URL", help="the broker (default: $CREDBROKER_URL)")
    add_ca_argument(parser)
    parser.add_argument(
        "--qr",
        metavar="WHEN",
        default="auto",
        help="draw a QR code: auto (on a terminal that can show it), always, never, or into a FILE"
        " (.png or .svg), which is gone when the login is done",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="open no browser, even where there is a screen"
    )
    parser.add_argument("--json", action="store_true", help="print the login, or the list, as JSON")
    parser.add_argument("--list", action="store_true", help="list issuers and roles, and end")


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Log in, or list where one can; raise what went wrong."""
    desk = desk or system_desk()
    qr_wish = qr.check_wish(args.qr)
    address = choose_address(args.broker, desk.environ)
    ca_file = choose_ca_file(args, desk.environ)
    broker = desk.broker(address, ca_file)
    if args.list:
        _list(broker, desk, as_json=args.json)
        return 0
    wanted = StartLogin(choose_issuer(args.issuer, broker), args.role)
    lease = log_in(wanted, qr_wish, desk, address, ca_file, may_browse=not args.no_browser)
    if args.json:
        desk.answer(json.dumps(_as_fields(lease)))
    desk.say(f"Fetch a token with: credbroker token {lease.issuer} --role {lease.role}")
    return 0


def log_in(
    wanted: StartLogin,
    qr_wish: str,
    desk: Desk,
    address: str,
    ca_file: Optional[str] = None,
    *,
    may_browse: bool = True,
) -> LeaseFile:
    """Take the person through a login at the broker, and return its lease, which is then kept.

    `qr_wish` is auto, always, never or a file for the picture. A browser is opened only if it
    `may_browse` and the person would see it. Raises `LoginExpired`, `LoginDenied`, `LocalFileUnfit`.
    """
    broker = desk.broker(address, ca_file)
    lease_file.make_leases_folder(desk.environ, desk.entropy)
    started = broker.start_login(wanted)
    countdown = Countdown(
        desk.clock,
        desk.err,
        deadline_of(started, broker, desk.clock),
        is_dumb=is_dumb(desk.environ),
    )
    with _shown(started, desk, qr_wish, may_browse=may_browse), countdown:
        state = wait_for(started, broker, countdown)
    lease = lease_of(started, state, address, ca_file)
    path = lease_file.person_path(desk.environ, lease.issuer, lease.role)
    lease_file.write(path, lease, desk.entropy)
    _celebrate(lease, broker, desk)
    return lease


def _list(broker: Broker, desk: Desk, *, as_json: bool) -> None:
    offered = broker.issuers().issuers
    if as_json:
        desk.answer(json.dumps([{"issuer": one.name, "roles": one.roles} for one in offered]))
        return
    for one in offered:
        desk.answer(plain(f"{one.name}: {', '.join(one.roles)}"))


def _as_fields(lease: LeaseFile) -> Dict[str, object]:
    return {
        "issuer": lease.issuer,
        "issuer_url": lease.issuer_url,
        "role": lease.role,
        "credkey": lease.credkey,
        "broker": lease.broker,
        "login_ends_at": write_instant(lease.lease_ends_at),
    }


@contextlib.contextmanager
def _shown(started: LoginStarted, desk: Desk, qr_wish: str, *, may_browse: bool) -> Iterator[None]:
    """Show address and code during a `with` block, and what else helps to get there."""
    address = started.verification_uri_complete or started.verification_uri
    _show(started, address, desk)
    if may_browse:
        browser.open_if_seen(address, desk)
    if not qr.is_picture(qr_wish):
        qr.show(address, desk, qr_wish)
        yield
        return
    picture = Path(qr_wish)
    made = qr.save(address, picture, desk.entropy)
    if made is None:
        desk.say(qr.NOT_DRAWN)
    try:
        yield
    finally:
        if made is not None:
            whole_file.remove(picture, made)


def _show(started: LoginStarted, address: str, desk: Desk) -> None:
    is_complete = started.verification_uri_complete is not None
    desk.say(plain(f"To log in to {started.issuer} in the role {started.role}, open"))
    desk.say(f"\n    {plain(address)}\n")
    desk.say("and confirm this code there:" if is_complete else "and type this code there:")
    desk.say(f"\n    {plain(started.user_code)}\n")


def deadline_of(started: LoginStarted, broker: Broker, clock: BlockingClock) -> float:
    """Return until when the login can be confirmed, in seconds since boot."""
    return clock.elapsed() + (started.expires_at - broker.now()).total_seconds()


def wait_for(started: LoginStarted, broker: Broker, countdown: Waiting) -> LoginState:
    """Poll at the broker's interval until the login is done.

    Raises:
        LoginExpired: The time for it is over.
        LoginDenied: The person said no.
    """
    polling = broker.under(started.login_token)
    interval = started.interval_seconds
    while True:
        # The last poll falls on the deadline: the answer may be there even if nobody saw it.
        countdown.wait(max(_LEAST_INTERVAL_SECONDS, min(interval, countdown.left())))
        with contextlib.suppress(Unavailable):
            state = polling.poll_login()
            if state.done:
                return state
            interval = state.interval_seconds
        if countdown.left() <= 0:
            raise LoginExpired("Nobody confirmed the login in time.")


def lease_of(
    started: LoginStarted, state: LoginState, address: str, ca_file: Optional[str]
) -> LeaseFile:
    """Return what to keep of a login that is done; raise `BrokerUnreachable` if it lacks something."""
    if state.credkey is None or state.lease_ends_at is None:
        raise BrokerUnreachable("The broker says that the login is done, but not for whom.")
    return LeaseFile(
        broker=address,
        ca_file=ca_file,
        lease_token=started.login_token,
        issuer=started.issuer,
        issuer_url=state.issuer_url,
        role=started.role,
        credkey=state.credkey,
        scopes=started.scopes,
        lease_ends_at=state.lease_ends_at,
    )


def _celebrate(lease: LeaseFile, broker: Broker, desk: Desk) -> None:
    left = spoken((lease.lease_ends_at - broker.now()).total_seconds())
    desk.say(
        plain(
            f"Logged in to {lease.issuer} as {lease.credkey} in the role {lease.role}"
            f" for {left}, until {at_minute(lease.lease_ends_at)}."
        )
    )
