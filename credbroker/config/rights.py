"""Reads `rights.d/*.yaml`: which claims of a person let what be signed for them.

Each file holds a list `rules`. An unknown key, a scope that is none or a condition that is empty is
refused with file and key: a typo must neither give nor silently take a right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from credbroker.config.load import read_mapping, read_part
from credbroker.config.section import Section, Text
from credbroker.domain.audiences import check_pattern
from credbroker.domain.errors import BadSettings, CredbrokerError, Malformed
from credbroker.domain.policy import check_signable
from credbroker.domain.rights import Rights, RightsRule, When
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


def read_rights(folder: Path) -> Rights:
    """Read all rules below `folder`, in name order; raise `BadSettings` naming file and key."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise BadSettings(f"{folder}: there is no *.yaml file with rules here.")
    return Rights(tuple(rule for file in files for rule in _rules(file)))


def _rules(file: Path) -> list[RightsRule]:
    read = read_mapping(file)
    for key in read:
        if key != "rules":
            raise BadSettings(f"{file}: {key}: this key is not known.")
    rules = read_part(list[RuleSection], read.get("rules"), file, "rules")
    return [_rule(one, file, f"rules[{number}]") for number, one in enumerate(rules)]


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
