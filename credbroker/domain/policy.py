"""What may be signed: a request held against what somebody is entitled to.

- What is asked for by name is given whole or refused with the reason; nothing of it is cut silently,
  since a transfer with less than it asked for fails later and further away. What only steers a login
  (`openid`, `profile` …) may fall away. What was cut or added stands in the remarks, and in the scope
  of the answer.
- Signed paths hold unreserved characters and slashes only: some storage reads them as patterns, and
  some clients send them on unencoded.
- `storage.modify` is signed where the entitlement names it, and never for every audience at once.
- Staging needs a read scope beside it: it is refused without, or the read scope is added for those
  whose policy says so (WLCG token profile 1.2 and later: staging grants no reading).
- Groups and capabilities come together only where both are asked for by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.audiences import allowing, check_audience
from credbroker.domain.errors import AudienceRefused, Malformed, ScopeRefused
from credbroker.domain.lifetimes import LifetimeTable
from credbroker.domain.scopes import CONTROL, STORAGE, ScopeItem, ScopeSet

OFFLINE = ScopeItem("offline_access")
_STAGE, _MODIFY, _READ = "storage.stage", "storage.modify", "storage.read"
# RFC 3986 section 2.3, and the slash.
_UNFIT = re.compile(r"[^A-Za-z0-9._~/-]")


@dataclass(frozen=True)
class Asked:
    """What a request names. None means that it leaves this to the policy; an empty one, too."""

    scopes: Optional[ScopeSet] = None
    audiences: Optional[Tuple[str, ...]] = None
    seconds: Optional[int] = None


@dataclass(frozen=True)
class Entitled:
    """The most somebody may have signed, and what they get who name nothing.

    Without `default_scopes` that is all of `scopes`. `audiences` may be patterns. `longest_seconds`
    takes the place of the usual lifetime, within the most of its row. `groups` are those that a plain
    `wlcg.groups` gives.
    """

    scopes: ScopeSet
    audiences: Tuple[str, ...]
    default_scopes: Optional[ScopeSet] = None
    default_audiences: Tuple[str, ...] = ()
    longest_seconds: Optional[int] = None
    stage_adds_read: bool = False
    groups: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Remark:
    """Something that was allowed, cut or added, and why, in words for people."""

    what: str
    why: str


@dataclass(frozen=True)
class Decision:
    """What is signed: the right, for how many seconds, with which groups; and what was changed."""

    right: Right
    seconds: int
    groups: Tuple[str, ...] = ()
    remarks: Tuple[Remark, ...] = ()


def decide(entitled: Entitled, asked: Asked, table: LifetimeTable) -> Decision:
    """Return what is signed for this request.

    Raises `ScopeRefused` or `AudienceRefused`, naming what is too much, missing or unfit.
    """
    remarks: List[Remark] = []
    scopes = _scopes(entitled, asked.scopes, remarks)
    audiences = _audiences(entitled, asked.audiences, remarks)
    if ANY_AUDIENCE in audiences and any(item.name == _MODIFY for item in scopes):
        raise AudienceRefused(
            "storage.modify is signed for named audiences only.",
            "Name the storage that this is for as the audience.",
        )
    right = Right(scopes, audiences)
    seconds = _seconds(entitled, asked.seconds, right, table, remarks)
    return Decision(right, seconds, _groups(entitled, scopes), tuple(remarks))


def read_scopes(text: str) -> ScopeSet:
    """Read the `scope` of a request; raise `ScopeRefused` for what cannot be one."""
    try:
        return ScopeSet.parse(text)
    except Malformed as error:
        raise ScopeRefused(error.sentence, error.remedy) from None


def check_signable(scopes: ScopeSet) -> None:
    """Raise `ScopeRefused`, naming the character, for a path that is never signed."""
    for item in scopes:
        if item.name not in STORAGE:
            continue
        found = _UNFIT.search(item.path or "")
        if found is not None:
            raise ScopeRefused(
                f"The path in {item} has the character {found.group()} which storage may read as a pattern.",
                "Paths that are signed hold letters, digits, dots, dashes, underscores and tildes;"
                " ask for the folder above.",
            )


# -- scopes ------------------------------------------------------------------------------------


def _scopes(entitled: Entitled, named: Optional[ScopeSet], remarks: List[Remark]) -> ScopeSet:
    if named is None or not len(named):
        wanted = _by_default(entitled, remarks)
    else:
        wanted = _as_named(entitled, named, remarks)
    check_signable(wanted)
    return _with_reading(entitled, wanted, remarks)


def _by_default(entitled: Entitled, remarks: List[Remark]) -> ScopeSet:
    chosen = entitled.default_scopes
    if chosen is not None:
        remarks.append(Remark(f"added {chosen}", "no scope is named, and these are the default"))
        return chosen
    everything = entitled.scopes
    if everything.has_capability and everything.has_groups:
        remarks.append(
            Remark("cut wlcg.groups", "groups beside capabilities must be asked for by name")
        )
        everything = everything.without_groups()
    remarks.append(Remark(f"added {everything}", "no scope is named, and all are the default"))
    return everything


def _as_named(entitled: Entitled, named: ScopeSet, remarks: List[Remark]) -> ScopeSet:
    """Return what is named without what only steers a login; raise `ScopeRefused` for too much."""
    outside = [item for item in named.items if not _is_entitled(entitled, item)]
    if not outside:
        return named
    refused = [str(item) for item in outside if item == OFFLINE or str(item) not in CONTROL]
    if refused:
        raise ScopeRefused(f"Not within what this client or person may have: {' '.join(refused)}.")
    why = "it steers a login, and is no right at a service"
    remarks.extend(Remark(f"cut {item}", why) for item in outside)
    return ScopeSet(tuple(item for item in named if item not in outside))


def _is_entitled(entitled: Entitled, item: ScopeItem) -> bool:
    if entitled.scopes.covers_item(item):
        return True
    return item.is_group and item.path in entitled.groups


def _with_reading(entitled: Entitled, wanted: ScopeSet, remarks: List[Remark]) -> ScopeSet:
    """Return the scopes with each read scope that staging needs; raise `ScopeRefused` without it."""
    reading = [ScopeItem(_READ, item.path) for item in wanted.items if item.name == _STAGE]
    lacking = [item for item in reading if not wanted.covers_item(item)]
    if not lacking:
        return wanted
    missing = ScopeSet(tuple(lacking))
    if not entitled.stage_adds_read or len(entitled.scopes.missing(missing)):
        raise ScopeRefused(
            f"Staging alone lets nobody read: {missing} is missing.",
            f"Ask for {missing} as well, or have the operator set stage_adds_read.",
        )
    remarks.append(Remark(f"added {missing}", "staging needs it, and stage_adds_read is set"))
    return ScopeSet(wanted.items + missing.items)


def _groups(entitled: Entitled, scopes: ScopeSet) -> Tuple[str, ...]:
    """Return the `wlcg.groups` claim, in the order of the request (WLCG token profile, groups).

    Named groups are followed by the default ones, also where the plain scope is not named.
    """
    asked = [item for item in scopes if item.is_group]
    if not asked:
        return ()
    found: List[str] = []
    for item in asked:
        found += [item.path] if item.path is not None else entitled.groups
    return tuple(dict.fromkeys([*found, *entitled.groups]))


# -- audiences ---------------------------------------------------------------------------------


def _audiences(
    entitled: Entitled, named: Optional[Tuple[str, ...]], remarks: List[Remark]
) -> Tuple[str, ...]:
    if not named:
        return _default_audiences(entitled, remarks)
    for audience in named:
        try:
            check_audience(audience)
        except Malformed as error:
            raise AudienceRefused(error.sentence, error.remedy) from None
        if allowing(entitled.audiences, audience) is None:
            raise AudienceRefused(f"Not an audience of this client or person: {audience[:200]}.")
    return tuple(dict.fromkeys(named))


def _default_audiences(entitled: Entitled, remarks: List[Remark]) -> Tuple[str, ...]:
    default = entitled.default_audiences
    if not default and len(entitled.audiences) == 1 and "*" not in entitled.audiences[0]:
        default = entitled.audiences
    if not default:
        raise AudienceRefused(
            "No audience is named, and this client or person has no default one.",
            "Name whom the token is for as the audience, such as https://se.example.org.",
        )
    remarks.append(
        Remark(f"added {' '.join(default)}", "no audience is named; this is the default")
    )
    return default


# -- lifetimes ---------------------------------------------------------------------------------


def _seconds(
    entitled: Entitled,
    asked: Optional[int],
    right: Right,
    table: LifetimeTable,
    remarks: List[Remark],
) -> int:
    row, lifetime = table.of_right(right)
    longest = lifetime.usual
    if entitled.longest_seconds is not None:
        longest = min(entitled.longest_seconds, lifetime.most)
        if entitled.longest_seconds > longest:
            why = f"the row {row} of the table of lifetimes goes no further"
            remarks.append(Remark(f"cut {entitled.longest_seconds} s to {longest} s", why))
    if asked is None:
        return longest
    if asked > longest:
        why = f"this is the longest for the row {row} of the table of lifetimes"
        remarks.append(Remark(f"cut {asked} s to {longest} s", why))
    return max(1, min(asked, longest))
