"""Reads `rights.d/*.yaml`: which claims of a person let what be signed for them.

Each file holds a list `rules`, a list `local_users`, or both. An unknown key, a scope that is none or
a condition that is empty is refused with file and key: a typo must neither give nor silently take a
right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from credbroker.config.load import read_mapping, read_part
from credbroker.config.section import Section, Text
from credbroker.domain.audiences import check_pattern
from credbroker.domain.errors import BadSettings, CredbrokerError, Malformed
from credbroker.domain.policy import check_signable
from credbroker.domain.rights import USERNAME, Rights, RightsRule, UsersRule, When
from credbroker.domain.scopes import ScopeSet

Names = Annotated[list[Text], Meta(min_length=1)]


class WhenSection(Section, frozen=True):
    """Whom a rule is for: one of each list that is written must be among the person's claims.

    `groups` are compared with `wlcg.groups`, `entitlements` with `eduperson_entitlement`, where `*`
    may stand at the end, and `subjects` with `sub`.
    """

    groups: Names | None = None
    entitlements: Names | None = None
    subjects: Names | None = None


class AllowSection(Section, frozen=True):
    """What may be signed: these scopes at these audiences, in place of the usual lifetime as long."""

    scopes: Names
    audiences: Names
    longest_seconds: Annotated[int, Meta(ge=1)] | None = None


class RuleSection(Section, frozen=True):
    """One rule."""

    when: WhenSection
    allow: AllowSection


class UsersSection(Section, frozen=True):
    """Of which local users an access point may have tokens signed, and what these allow.

    `when` is about the login that the access point holds. `*` may stand at the end of a name; in the
    scopes `{username}` stands for the user's.
    """

    when: WhenSection
    names: Names
    allow: AllowSection


def read_rights(folder: Path) -> Rights:
    """Read all rules below `folder`, in name order; raise `BadSettings` naming file and key."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise BadSettings(f"{folder}: there is no *.yaml file with rules here.")
    rights = [_rights(file) for file in files]
    return Rights(
        tuple(rule for one in rights for rule in one.rules),
        tuple(rule for one in rights for rule in one.users),
    )


def _rights(file: Path) -> Rights:
    read = read_mapping(file)
    for key in read:
        if key not in {"rules", "local_users"}:
            raise BadSettings(f"{file}: {key}: this key is not known.")
    if not read:
        raise BadSettings(f"{file}: rules: this key is missing.")
    rules = read_part(list[RuleSection], read.get("rules", []), file, "rules")
    users = read_part(list[UsersSection], read.get("local_users", []), file, "local_users")
    return Rights(
        tuple(_rule(one, file, f"rules[{number}]") for number, one in enumerate(rules)),
        tuple(_users(one, file, f"local_users[{number}]") for number, one in enumerate(users)),
    )


def _users(read: UsersSection, file: Path, at: str) -> UsersRule:
    """Read a rule about local users; its scopes are those of somebody's, with the name left open."""
    for name in read.names:
        if "*" in name[:-1]:
            raise BadSettings(f"{file}: {at}.names: * stands at the end of a name only.")
    scopes = tuple(read.allow.scopes)
    somebody = msgspec.structs.replace(
        read.allow, scopes=[one.replace(USERNAME, "somebody") for one in scopes]
    )
    rule = _rule(RuleSection(when=read.when, allow=somebody), file, at)
    names = tuple(read.names)
    return UsersRule(rule.when, names, scopes, rule.audiences, rule.longest_seconds, rule.source)


def _rule(read: RuleSection, file: Path, at: str) -> RightsRule:
    when = When(*map(_texts, (read.when.groups, read.when.entitlements, read.when.subjects)))
    if when == When():
        raise BadSettings(f"{file}: {at}.when: name groups, entitlements or subjects.")
    for entitlement in when.entitlements:
        if "*" in entitlement[:-1] or entitlement == "*":
            raise BadSettings(
                f"{file}: {at}.when.entitlements: * stands at the end of a name only."
            )
    try:
        scopes = ScopeSet.of(read.allow.scopes)
        check_signable(scopes)
    except CredbrokerError as error:
        raise BadSettings(f"{file}: {at}.allow.scopes: {error.sentence}") from None
    try:
        audiences = tuple(map(check_pattern, read.allow.audiences))
    except Malformed as error:
        raise BadSettings(f"{file}: {at}.allow.audiences: {error.sentence}") from None
    return RightsRule(when, scopes, audiences, read.allow.longest_seconds, f"{file.name}: {at}")


def _texts(names: list[str] | None) -> tuple[str, ...]:
    return tuple(names or ())
