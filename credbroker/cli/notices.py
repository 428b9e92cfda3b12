"""`credbroker notices`: whether mails are sent to you when a login is about to end or needs you."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from credbroker.cli.choice import add_login_arguments, choose_ca_file, choose_login
from credbroker.cli.desk import plain, system_desk
from credbroker.delivery.lease_file import naming_the_login
from credbroker.wire.choosing import ChooseNotices

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk
    from credbroker.wire.choosing import NoticesChosen

EXAMPLE = """\
example:
  credbroker notices
  credbroker notices off
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker notices`."""
    parser.add_argument(
        "wanted",
        nargs="?",
        choices=["show", "on", "off"],
        default="show",
        help="have mails sent, or none, about all your logins at that issuer (default: show)",
    )
    parser.add_argument("--json", action="store_true", help="print what is chosen as JSON")
    add_login_arguments(parser)


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Show or change what is chosen; raise what went wrong."""
    desk = desk or system_desk()
    _, login = choose_login(args.issuer, args.role, desk.environ)
    broker = desk.broker_of(login, choose_ca_file(args, desk.environ))
    with naming_the_login(login):
        if args.wanted == "show":
            chosen = broker.notices()
        else:
            chosen = broker.choose_notices(ChooseNotices(args.wanted == "on"))
    desk.answer(chosen.write().decode() if args.json else "on" if chosen.mail else "off")
    desk.say(plain(_explained(chosen)))
    return 0


def _explained(chosen: NoticesChosen) -> str:
    if not chosen.offered:
        return "This broker sends no mails."
    if chosen.address is None:
        return "The issuer told no verified address of yours at your login, so no mail is sent."
    if not chosen.mail:
        return f"No mails go to {chosen.address}. Have them sent with: credbroker notices on"
    return f"Mails go to {chosen.address} before a login ends, and when one needs you."
