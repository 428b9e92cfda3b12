"""Compares an OpenBao/Vault with what a broker needs of it, part by part; changes nothing.

A part is right, missing, behind, or different. Missing and behind can be mended without giving anybody
more than the broker needs and without deleting what somebody else keeps; what is different was made by
somebody else or for another purpose, and is left to them. An engine or a login method of another kind
under the broker's own name stops everything: what came after it would be made in the wrong place.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from credbroker.domain.errors import StoreMisconfigured
from credbroker.stores.broker_place import POLICY_NAME, ROLE_NAME, Part, Place, parts
from credbroker.stores.operator_vault import OperatorVault


class Standing(enum.Enum):
    """How a part stands, in the word that an operator reads."""

    RIGHT = "right"
    MISSING = "missing"
    BEHIND = "behind"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one part stands: what it is called, what differs line by line, and what mends it, if anything."""

    what: str
    standing: Standing
    lines: tuple[str, ...] = ()
    mend: Part | None = None


async def look(vault: OperatorVault, place: Place) -> list[Finding]:
    """Return how each part stands, in the order in which they are mended.

    Raises `StoreMisconfigured` for an engine or method of another kind, and `StoreUnavailable` kinds.
    """
    mounts = await vault.content("sys/mounts") or {}
    methods = await vault.content("sys/auth") or {}
    found = []
    for part in parts(place):
        if part.path.startswith(("sys/mounts/", "sys/auth/")):
            found.append(_mounted(part, methods if part.name == "approle" else mounts))
        elif f"{place.mount}/" not in mounts and part.name == "keep":
            found.append(Finding(_WHAT["keep"].format(place.mount), Standing.MISSING, mend=part))
        else:
            found.append(await _LOOKS[part.name](vault, place, part))
    return found


_WHAT = {
    "mount": "the KV version 2 engine {}/",
    "transit": "the transit engine {}/",
    "policy": f"the policy {POLICY_NAME}",
    "approle": "the AppRole method {}/",
    "role": f"the role {ROLE_NAME} of {{}}/",
    "keep": "one version of each record, and check-and-set, in {}/",
}


def _mounted(part: Part, mounted: Mapping[str, Any]) -> Finding:
    name = part.path.removeprefix("sys/mounts/").removeprefix("sys/auth/")
    what = _WHAT[part.name].format(name)
    there = mounted.get(f"{name}/")
    if there is None:
        return Finding(what, Standing.MISSING, mend=part)
    options, wanted = there.get("options") or {}, part.body.get("options") or {}
    version = {"version": options.get("version")} if wanted else {}
    if there.get("type") != part.body["type"] or version != wanted:
        raise StoreMisconfigured(
            f"At {name}/ there is already something else, not {what}. Nothing was changed.",
            "Give the broker a name of its own in the settings, or have that removed by its owner.",
        )
    return Finding(what, Standing.RIGHT)


async def _policy(vault: OperatorVault, _: Place, part: Part) -> Finding:
    what, wanted = _WHAT["policy"], rules(str(part.body["policy"]))
    there = await vault.content(part.path)
    if there is None:
        return Finding(what, Standing.MISSING, mend=part)
    found = rules(str(there.get("policy", "")))
    lines = tuple(f"it lacks  {one}" for one in wanted if one not in found)
    more = tuple(f"it has    {one}" for one in found if one not in wanted)
    if more:
        return Finding(what, Standing.DIFFERENT, more + lines)
    if lines:
        return Finding(what, Standing.BEHIND, lines, part)
    return Finding(what, Standing.RIGHT)


def rules(policy: str) -> list[str]:
    """Return the lines of a policy that allow something, without white space that says nothing."""
    lines = [" ".join(line.split()) for line in policy.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


async def _role(vault: OperatorVault, place: Place, part: Part) -> Finding:
    what = _WHAT["role"].format(place.approle)
    there = await vault.content(part.path)
    if there is None:
        return Finding(what, Standing.MISSING, mend=part)
    lines = []
    if there.get("token_policies") != part.body["token_policies"]:
        lines.append(f"token_policies are {', '.join(there.get('token_policies') or ['none'])}")
    if there.get("token_type") not in {"service", "default"}:
        lines.append("token_type is batch, which cannot be renewed")
    if there.get("bind_secret_id") is not True:
        lines.append("bind_secret_id is false: the role id alone logs in")
    lacks = () if there.get("token_no_default_policy") else ("token_no_default_policy is false",)
    if lines:
        return Finding(what, Standing.DIFFERENT, (*lines, *lacks))
    # Its own lifetimes and whatever narrows it further are the site's choice.
    less = replace(part, body={"token_no_default_policy": True})
    return Finding(what, Standing.BEHIND if lacks else Standing.RIGHT, lacks, less)


async def _keep(vault: OperatorVault, place: Place, part: Part) -> Finding:
    what = _WHAT["keep"].format(place.mount)
    there = await vault.content(part.path) or {}
    lines = tuple(
        f"{key} is {str(there.get(key)).lower()}"
        for key, value in part.body.items()
        if there.get(key) != value
    )
    if not lines:
        return Finding(what, Standing.RIGHT)
    # Fewer versions delete older ones: only where nobody but a broker keeps anything.
    names = await vault.listed(f"{place.mount}/metadata", "", _MOST_NAMES)
    foreign = sorted({name.rstrip("/") for name in names} - _rooms(place))
    if foreign:
        others = f"records that are no broker's lie there: {', '.join(foreign[:5])}"
        return Finding(what, Standing.DIFFERENT, (*lines, others))
    return Finding(what, Standing.BEHIND, lines, part)


_MOST_NAMES = 1000


def _rooms(place: Place) -> set[str]:
    """Return the names under which a broker keeps its records."""
    (policy,) = [one for one in parts(place) if one.name == "policy"]
    return set(re.findall(r"/data/(\w+)/", str(policy.body["policy"])))


_Look = Callable[[OperatorVault, Place, Part], Awaitable[Finding]]
_LOOKS: dict[str, _Look] = {"policy": _policy, "role": _role, "keep": _keep}
