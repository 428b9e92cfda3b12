"""`credbroker deliver`: has this host keep a token ready whenever one is logged in here.

The order is placed with the agent of this host, which knows by the kernel who places it. What is
ordered is then shown in words, and stands only once its person has agreed and the broker has the
consent of a login. It ends with that login at the latest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Dict, Optional

from credbroker.cli.choice import (
    add_login_arguments,
    choose_audiences,
    choose_ca_file,
    choose_login,
    choose_scopes,
)
from credbroker.cli.desk import at_minute, plain, system_desk
from credbroker.cli.exits import FAILED
from credbroker.client.local import LocalAgent
from credbroker.delivery.lease_file import naming_the_login
from credbroker.domain.errors import CredbrokerError, LoginNeeded, Malformed
from credbroker.wire import sessions
from credbroker.wire.deliveries import ConsentDelivery
from credbroker.wire.sessions import AskAgent, WantedDelivery

if TYPE_CHECKING:
    import argparse

    from credbroker.cli.desk import Desk
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.wire.deliveries import DeliveryShown
    from credbroker.wire.sessions import DeliveryPlaced, DeliverySeen

EXAMPLE = """\
example:
  credbroker deliver new cms --scope storage.read:/store --audience https://dav.example.org
  credbroker deliver list
  credbroker deliver end ID
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker deliver`."""
    deeds = parser.add_subparsers(dest="deed", metavar="new|list|end", required=True)
    new = deeds.add_parser("new", help="order a token for whenever you are logged in here")
    add_login_arguments(new)
    new.add_argument("--scope", metavar="S", action="append", required=True, help="repeatable")
    new.add_argument("--audience", metavar="A", action="append", required=True, help="repeatable")
    new.add_argument(
        "--name", metavar="N", help="a file of its own, bt_u<uid>-N (default: bt_u<uid>)"
    )
    new.add_argument(
        "--host-group", metavar="G", help="on each host of this group, not on this one alone"
    )
    new.add_argument(
        "--replace", action="store_true", help="replace a file that another program left there"
    )
    new.add_argument("--yes", action="store_true", help="agree without being asked")
    shown = deeds.add_parser("list", help="show your orders, and how they stand here")
    add_login_arguments(shown)
    end = deeds.add_parser("end", help="take an order back")
    end.add_argument("id", metavar="ID", help="as `list` shows it")
    add_login_arguments(end)
    for one in (new, shown, end):
        one.add_argument("--json", action="store_true", help="print the answer as JSON")
        one.add_argument(
            "--socket",
            metavar="PATH",
            default=sessions.SOCKET,
            help="where this host's agent listens",
        )


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Place, show or take back an order; raise what went wrong."""
    desk = desk or system_desk()
    return {"new": _new, "list": _list, "end": _end}[args.deed](args, desk)


def _new(args: argparse.Namespace, desk: Desk) -> int:
    _, login = choose_login(args.issuer, args.role, desk.environ)
    if not args.yes and not desk.can_ask():
        raise Malformed("Nobody can be asked here whether to agree.", "Give --yes to agree.")
    wanted = WantedDelivery(
        issuer=login.issuer,
        role=login.role,
        scopes=choose_scopes(args.scope) or [],
        audiences=choose_audiences(args.audience) or [],
        name=args.name,
        group=args.host_group,
        replaces_foreign=args.replace,
    )
    agent = LocalAgent(args.socket)
    placed = agent.ask(AskAgent(sessions.PLACE, wanted)).placed
    if placed is None:
        raise Malformed("The agent of this host says nothing of the order.", "Update it.")
    _explain(wanted, placed, login, desk)
    if not args.yes and not desk.says_yes("Do you agree? [y/N] "):
        desk.say("Nothing was ordered.")
        return FAILED
    broker = desk.broker_of(login, choose_ca_file(args, desk.environ))
    with naming_the_login(login):
        standing = broker.consent(placed.id, _consent(wanted, placed, desk.euid))
    agent.ask(AskAgent(sessions.LOOK))
    desk.answer(json.dumps(_as_fields(standing)) if args.json else plain(standing.id))
    desk.say(plain(f"Ordered; it ends {at_minute(standing.ends_at)}, or with the login."))
    return 0


def _explain(wanted: WantedDelivery, placed: DeliveryPlaced, login: LeaseFile, desk: Desk) -> None:
    """Say what is agreed to; all of it, and nothing else, is what the broker is told."""
    where = f"each host of the group {wanted.group}" if wanted.group else placed.host
    other = "also over" if wanted.replaces_foreign else "but not over"
    for line in (
        f"Whenever you ({placed.user}, uid {desk.euid}) are logged in on {where}, it may get tokens",
        f"  of {login.issuer} in the role {login.role}, as {login.credkey},",
        f"  that allow: {' '.join(wanted.scopes)}",
        f"  at: {' '.join(wanted.audiences)}",
        f"and keep one fresh in {placed.path}, {other} a file of another program's,",
        f"until {at_minute(login.lease_ends_at)} at the latest, when the login ends.",
    ):
        desk.say(plain(line))


def _consent(wanted: WantedDelivery, placed: DeliveryPlaced, uid: int) -> ConsentDelivery:
    return ConsentDelivery(
        consent_code=placed.consent_code,
        uid=uid,
        user=placed.user,
        scopes=wanted.scopes,
        audiences=wanted.audiences,
        name=wanted.name,
        replaces_foreign=wanted.replaces_foreign,
        host=None if wanted.group else placed.host,
        group=wanted.group,
    )


def _list(args: argparse.Namespace, desk: Desk) -> int:
    _, login = choose_login(args.issuer, args.role, desk.environ)
    broker = desk.broker_of(login, choose_ca_file(args, desk.environ))
    with naming_the_login(login):
        standing = broker.my_deliveries().deliveries
    here = _seen_here(args.socket)
    if args.json:
        desk.answer(json.dumps([_as_fields(one, here.get(one.id)) for one in standing]))
        return 0
    for one in standing:
        _show(one, here.get(one.id), desk)
    if not standing:
        desk.say("You have no orders.")
    return 0


def _show(one: DeliveryShown, seen: Optional[DeliverySeen], desk: Desk) -> None:
    where = f"each host of the group {one.group}" if one.group else str(one.host)
    desk.answer(plain(f"{one.id}  on {where}, until {at_minute(one.ends_at)}"))
    desk.answer(plain(f"  {' '.join(one.scopes)}  at {' '.join(one.audiences)}"))
    if seen is not None:
        desk.answer(plain(f"  here in {seen.path}: {seen.state}"))


def _as_fields(one: DeliveryShown, seen: Optional[DeliverySeen] = None) -> Dict[str, object]:
    """Return an order as the broker has it, and how it stands at this host if that is seen."""
    fields: Dict[str, object] = json.loads(one.write())
    del fields["scopes"], fields["audiences"]
    here = None if seen is None else {"path": seen.path, "state": seen.state}
    return {**fields, "scope": " ".join(one.scopes), "audience": one.audiences, "here": here}


def _seen_here(path: str) -> Dict[str, DeliverySeen]:
    try:
        seen = LocalAgent(path).ask(AskAgent(sessions.LIST)).seen or []
    except CredbrokerError:
        return {}  # the order may be for another host
    return {one.id: one for one in seen}


def _end(args: argparse.Namespace, desk: Desk) -> int:
    """Take an order back by the login that it stands on; without one, by the word of this host."""
    agent = LocalAgent(args.socket)
    try:
        _, login = choose_login(args.issuer, args.role, desk.environ)
    except LoginNeeded:
        agent.ask(AskAgent(sessions.END, id=args.id))
    else:
        with naming_the_login(login):
            desk.broker_of(login, choose_ca_file(args, desk.environ)).end_delivery(args.id)
        if args.id in _seen_here(args.socket):
            agent.ask(AskAgent(sessions.LOOK))
    desk.say("Taken back. A token that is there already stays until it expires.")
    if args.json:
        desk.answer(json.dumps({"id": args.id, "ended": True}))
    return 0
