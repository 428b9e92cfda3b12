"""What may be signed for a person, by rules over the claims that their own issuer vouches for.

- A person has what the rules give whose conditions they meet, and nothing where they meet none.
- Scopes and audiences of one rule belong together: a scope is given at an audience only by a rule
  that names both. What two rules give at two storages adds up to nothing at either.
- More claims never mean less right, and the order of rules, claims and values does not matter.
- Names are compared as text. An entitlement may end in `*` in a rule, which stands for any rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import FrozenSet, Iterable, Iterator, Optional, Tuple

from credbroker.domain.attenuation import Right
from credbroker.domain.audiences import allowing
from credbroker.domain.errors import AudienceRefused, ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.policy import Asked, Decision, Entitled, decide
from credbroker.domain.scopes import ScopeItem, ScopeSet

USERNAME = "{username}"
# As POSIX names users; it goes into a path, and is neither a folder above nor more than one.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True)
class Claims:
    """What an issuer's verified token says of a person: `sub`, `wlcg.groups`, `eduperson_entitlement`."""

    subject: str
    groups: Tuple[str, ...] = ()
    entitlements: Tuple[str, ...] = ()


@dataclass(frozen=True)
class When:
    """Whom a rule is for: one of each list that is not empty must be among the person's claims."""

    groups: Tuple[str, ...] = ()
    entitlements: Tuple[str, ...] = ()
    subjects: Tuple[str, ...] = ()

    def holds(self, claims: Claims) -> bool:
        """True if the person meets every condition; a rule without any is for nobody."""
        conditions = [
            not set(self.groups).isdisjoint(claims.groups) if self.groups else None,
            claims.subject in self.subjects if self.subjects else None,
            any(_is_like(one, self.entitlements) for one in claims.entitlements)
            if self.entitlements
            else None,
        ]
        named = [met for met in conditions if met is not None]
        return bool(named) and all(named)


@dataclass(frozen=True)
class RightsRule:
    """One rule: what it allows whom. `audiences` may be patterns (`domain.audiences`).

    `longest_seconds` takes the place of the usual lifetime; `source` says where the rule is written.
    """

    when: When
    scopes: ScopeSet
    audiences: Tuple[str, ...]
    longest_seconds: Optional[int] = None
    source: str = ""


@dataclass(frozen=True)
class UsersRule:
    """Whom an access point may have tokens signed about, its own users, and what these allow.

    `when` is about the access point's login. `names` may end in `*`. In `scopes`, `{username}` stands
    for the user's name; the rest as in `RightsRule`.
    """

    when: When
    names: Tuple[str, ...]
    scopes: Tuple[str, ...]
    audiences: Tuple[str, ...]
    longest_seconds: Optional[int] = None
    source: str = ""

    def about(self, user: str) -> RightsRule:
        """Return what this gives for one user. Raises `Malformed` for a name that makes no path."""
        scopes = ScopeSet.of(one.replace(USERNAME, user) for one in self.scopes)
        return RightsRule(self.when, scopes, self.audiences, self.longest_seconds, self.source)


@dataclass(frozen=True)
class Rights:
    """All rules of one community."""

    rules: Tuple[RightsRule, ...] = ()
    users: Tuple[UsersRule, ...] = ()

    def about(self, user: str) -> Rights:
        """Return the rules about a local user, which an access point goes by.

        Raises `ScopeRefused` for a name that no rule names, or that no path may hold.
        """
        named = [rule for rule in self.users if _is_like(user, rule.names)]
        if not named or not _USER.match(user):
            raise ScopeRefused(
                "No rule of this community gives anybody tokens about a user of this name.",
                "Have the community's operator name the users in local_users.",
            )
        return Rights(tuple(rule.about(user) for rule in named))

    def matching(self, claims: Claims) -> Tuple[RightsRule, ...]:
        """Return the rules whose conditions this person meets, in the order they are written."""
        return tuple(rule for rule in self.rules if rule.when.holds(claims))

    def most(self, claims: Claims, audiences: Optional[Tuple[str, ...]] = None) -> Right:
        """Return all that this person may have signed for these audiences together.

        Without any it is for all that their rules name outright. Raises `ScopeRefused` or
        `AudienceRefused` where that is nothing.
        """
        rules = self.matching(claims)
        if not rules:
            raise ScopeRefused(
                "No rule of this community gives this person anything.",
                "Ask the community's operator for a rule about one of your groups or entitlements.",
            )
        for_whom = tuple(dict.fromkeys(audiences or _named_outright(rules)))
        given = [_scopes_at(rules, audience) for audience in for_whom]
        if not given or not all(map(len, given)):
            raise AudienceRefused(
                "This person's rules give nothing for an audience asked for, or none is named.",
                "Name an audience that a rule of yours names, such as https://se.example.org.",
            )
        everywhere = (item for item in _items(given) if all(at.covers_item(item) for at in given))
        scopes = ScopeSet(tuple(everywhere))
        if not len(scopes):
            raise ScopeRefused(
                "This person's rules give no scope at all of these audiences together.",
                "Ask for a token for each audience.",
            )
        return Right(scopes, for_whom)

    def decide(self, claims: Claims, right: Right, table: LifetimeTable) -> Decision:
        """Return what is signed for this person who asks for `right`, by name.

        Each part of it lives as long as the rule that gives it most says; the part that lives
        shortest decides. Raises `ScopeRefused` or `AudienceRefused` if it is not theirs, or unfit.
        """
        rules, most = self.matching(claims), self.most(claims, right.audiences)
        lifetimes = {one: _decided(most, claims, right, table, one) for one in _longest(rules)}
        parts = ((item, audience) for item in right.scopes for audience in right.audiences)
        by_part = (
            (lifetimes[rule.longest_seconds] for rule in rules if _gives(rule, item, audience))
            for item, audience in parts
        )
        return min((max(one, key=_seconds) for one in by_part), key=_seconds)


def by_default(most: Right) -> Right:
    """Return what of `most` is for who names no scope: groups come beside capabilities only by name."""
    if not most.scopes.has_capability:
        return most
    return Right(most.scopes.without_groups(), most.audiences)


def _decided(
    most: Right, claims: Claims, right: Right, table: LifetimeTable, longest: Optional[int]
) -> Decision:
    plain_groups = any(item.is_group and item.path is None for item in most.scopes)
    groups = claims.groups if plain_groups else ()
    entitled = Entitled(most.scopes, most.audiences, longest_seconds=longest, groups=groups)
    return decide(entitled, Asked(right.scopes, right.audiences), table)


def _seconds(decision: Decision) -> int:
    return decision.seconds


def _longest(rules: Tuple[RightsRule, ...]) -> FrozenSet[Optional[int]]:
    return frozenset(rule.longest_seconds for rule in rules)


def _gives(rule: RightsRule, item: ScopeItem, audience: str) -> bool:
    return rule.scopes.covers_item(item) and allowing(rule.audiences, audience) is not None


def _is_like(value: str, patterns: Tuple[str, ...]) -> bool:
    return any(
        value.startswith(one[:-1]) if one.endswith("*") else value == one for one in patterns
    )


def _named_outright(rules: Tuple[RightsRule, ...]) -> Iterator[str]:
    return (audience for rule in rules for audience in rule.audiences if "*" not in audience)


def _scopes_at(rules: Tuple[RightsRule, ...], audience: str) -> ScopeSet:
    here = (rule.scopes for rule in rules if allowing(rule.audiences, audience) is not None)
    return ScopeSet(_items(here))


def _items(sets: Iterable[ScopeSet]) -> Tuple[ScopeItem, ...]:
    """Return the items of all sets, each once, in the order they were first named."""
    return tuple(dict.fromkeys(item for one in sets for item in one))
