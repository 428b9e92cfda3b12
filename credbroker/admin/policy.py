"""`credbroker policy`: would this be signed, and why? `explain` says so of a request, line by line.

It decides as the broker does, from the same settings, and asks nobody: neither OpenBao/Vault nor a
running broker is needed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from credbroker.admin.desk import Desk, system_desk
from credbroker.broker.issuing.clients import client_of, entitled
from credbroker.cli.exits import exit_code
from credbroker.config.communities import Community
from credbroker.config.load import DEFAULT_FOLDER, load
from credbroker.config.rights import read_rights
from credbroker.config.schema import Settings
from credbroker.domain.attenuation import Ceiling, Right, Wanted, attenuate
from credbroker.domain.audiences import allowing
from credbroker.domain.errors import (
    AudienceRefused,
    ClientNotAllowed,
    LocalFileUnfit,
    NotFound,
    OutsideCeiling,
    Refused,
    ScopeRefused,
)
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, Decision, Remark, decide, read_scopes
from credbroker.domain.rights import Claims, Rights, RightsRule, by_default
from credbroker.domain.scopes import ScopeItem, ScopeSet
from credbroker.telemetry.logging import configure
from credbroker.wire.fields import Fields, parse_object

EXAMPLE = """\
examples:
  credbroker policy explain dteam rucio --scope "storage.read:/data" --audience https://se.example.org
  credbroker policy explain dteam --claims ada.json --scope storage.modify:/ --json
  credbroker policy explain dteam --claims access-point.json --about grid7
"""

WhyScope = Callable[[ScopeItem], str]
WhyAudience = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Explained:
    """What is signed, and for each scope and audience which line of the settings allows it."""

    decision: Decision
    row: str
    why_scope: WhyScope
    why_audience: WhyAudience

    def remarks(self) -> list[Remark]:
        """Return what is allowed, cut and added, and the lifetime, each with the reason."""
        decision, right = self.decision, self.decision.right
        allowed = [Remark(f"allowed {item}", self.why_scope(item)) for item in right.scopes]
        allowed += [Remark(f"allowed {one}", self.why_audience(one)) for one in right.audiences]
        row = f"the row {self.row} of the table of lifetimes, and the lines of policy about it"
        return [*allowed, *decision.remarks, Remark(f"lives {decision.seconds} s", row)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser("explain", help="say whether, and why, a token would be signed")
    one.add_argument("community", metavar="COMMUNITY", help="its name in the settings")
    whose = one.add_mutually_exclusive_group(required=True)
    whose.add_argument("client", nargs="?", metavar="CLIENT", help="the id of a service's client")
    whose.add_argument(
        "--claims", type=Path, metavar="FILE",
        help="instead of a client's: what a person's issuer says of them, as JSON with sub,"
        " wlcg.groups, eduperson_entitlement",
    )  # fmt: skip
    one.add_argument(
        "--about",
        metavar="USER",
        help="with --claims of an access point's login: a user there whom the token is to be about",
    )
    one.add_argument("--scope", default="", metavar="SCOPES", help="as in a request, with spaces")
    one.add_argument(
        "--audience", action="append", default=[], metavar="AUDIENCE", help="may be given again"
    )
    one.add_argument(
        "--for", dest="seconds", type=int, metavar="SECONDS", help="how long the token is to live"
    )
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.add_argument(
        "--config", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER",
        help="the folder of settings (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace, desk: Desk | None = None) -> int:
    """Explain; return 0 for what would be signed, 5 for what is refused.

    Raises `NotFound` for a community or client that the settings do not name, and `BadSettings`.
    """
    configure("error")
    desk = desk or system_desk()
    community = community_of(load(args.config), args.community)
    try:
        explained = _explain(args, community)
    except (ClientNotAllowed, ScopeRefused, AudienceRefused, OutsideCeiling) as error:
        _tell_refused(desk, error, as_json=args.json)
        return exit_code(error)
    _tell(desk, explained, as_json=args.json)
    return 0


def community_of(settings: Settings, name: str) -> Community:
    """Return a community's settings; raise `NotFound`, listing the names there are."""
    if name not in settings.communities:
        names = ", ".join(settings.communities) or "none"
        raise NotFound(f"The settings name no community {name[:64]!r}.", f"They name: {names}.")
    return settings.communities[name]


def _explain(args: argparse.Namespace, community: Community) -> Explained:
    table = LifetimeTable.of(community.lifetimes)
    scopes, audiences = read_scopes(args.scope), tuple(args.audience)
    asked = Asked(scopes, audiences, args.seconds)
    if args.claims is not None:
        rights = _rights(community)
        about = rights if args.about is None else rights.about(args.about)
        return _for_person(about, _claims(args.claims), asked, table)
    if args.about is not None:
        raise ScopeRefused("Only who logs in may have tokens about users: give --claims.")
    return _for_client(community, args.client, asked, table)


def _for_client(community: Community, name: str, asked: Asked, table: LifetimeTable) -> Explained:
    if name not in community.clients:
        names = ", ".join(community.clients) or "none"
        raise NotFound(f"This community has no client {name[:64]!r}.", f"It has: {names}.")
    client_of(name, community.clients[name], None).check_may("client_credentials")
    whole = entitled(community.clients[name])
    decision = decide(whole, asked, table)
    return Explained(
        decision,
        table.of_right(decision.right)[0],
        lambda item: f"{_covering(whole.scopes, item)} is in its settings",
        lambda one: f"{allowing(whole.audiences, one)} is in its settings",
    )


def _rights(community: Community) -> Rights:
    if community.rights_folder is None:
        raise ScopeRefused("This community has no rights_folder: nothing is signed for people.")
    return read_rights(community.rights_folder)


def _for_person(rights: Rights, claims: Claims, asked: Asked, table: LifetimeTable) -> Explained:
    most = rights.most(claims, asked.audiences or None)
    decision = rights.decide(claims, _asked_for(most, asked), table)
    rules = rights.matching(claims)
    return Explained(
        decision,
        table.of_right(decision.right)[0],
        lambda item: _source(rules, lambda rule: rule.scopes.covers_item(item)),
        lambda one: _source(rules, lambda rule: allowing(rule.audiences, one) is not None),
    )


def _asked_for(most: Right, asked: Asked) -> Right:
    """Return what this asks for."""
    if asked.scopes is not None and len(asked.scopes):
        return attenuate(most, Ceiling(), Wanted(asked.scopes, most.audiences))
    return by_default(most)


def _covering(scopes: ScopeSet, item: ScopeItem) -> str:
    return str(next((one for one in scopes if one.covers(item)), item))


def _source(rules: Sequence[RightsRule], allows: Callable[[RightsRule], bool]) -> str:
    return f"a rule in {next(rule.source for rule in rules if allows(rule))} gives it"


def _claims(file: Path) -> Claims:
    try:
        fields = parse_object(file.read_bytes(), f"The file {file}")
    except OSError as error:
        raise LocalFileUnfit(f"{file}: cannot be read ({error.strerror}).") from None
    return Claims(
        fields.text("sub"), _texts(fields, "wlcg.groups"), _texts(fields, "eduperson_entitlement")
    )


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    return tuple(fields.texts(name)) if name in fields else ()


def _tell(desk: Desk, explained: Explained, *, as_json: bool) -> None:
    decision, remarks = explained.decision, explained.remarks()
    if not as_json:
        for one in remarks:
            desk.answer(f"{one.what}: {one.why}.")
        return
    desk.answer(
        json.dumps(
            {
                "allowed": True,
                "scope": str(decision.right.scopes),
                "audience": list(decision.right.audiences),
                "groups": list(decision.groups),
                "seconds": decision.seconds,
                "remarks": [{"what": one.what, "why": one.why} for one in remarks],
            }
        )
    )


def _tell_refused(desk: Desk, error: Refused, *, as_json: bool) -> None:
    if as_json:
        refused = {"error": error.code, "sentence": error.sentence, "remedy": error.remedy}
        desk.answer(json.dumps({"allowed": False, **refused}))
        return
    desk.answer(f"refused: {error.sentence}")
    if error.remedy != error.default_remedy:
        desk.say(error.remedy)
