"""Says in words what a scope allows, how a grant stands, what a lease is for: for people."""

from __future__ import annotations

from collections.abc import Iterable

from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.leases import Lease
from credbroker.domain.scopes import ScopeItem, ScopeSet

_WORDS = {
    "storage.read": "read files in {}",
    "storage.create": "write new files in {}",
    "storage.modify": "write, change and delete files in {}",
    "storage.stage": "bring files in {} from tape",
    "storage.poll": "ask how far files in {} are on their way from tape",
    "compute.read": "look at your jobs",
    "compute.create": "start jobs",
    "compute.modify": "change your jobs",
    "compute.cancel": "stop your jobs",
    "wlcg.groups": "say which groups you are in",
    "wlcg.capabilityset": "do what the set {} allows",
    "fts": "move files for you by FTS",
}

_STATES = {
    GrantState.READY: "ready",
    GrantState.CLAIMED: "ready, being refreshed",
    GrantState.PAUSED: "at rest",
    GrantState.IN_DOUBT: "in doubt",
    GrantState.LOST: "you must log in again",
    GrantState.ENDED: "ended",
}


def rights_in_words(scopes: ScopeSet) -> list[str]:
    """Return a line for each right; a scope that has no words here stands as it is."""
    return list(_lines(scopes.rights()))


def state_in_words(grant: Grant) -> str:
    """Return how a grant stands, with the sentence that its record has about it."""
    words = _STATES[grant.state]
    return f"{words}: {grant.note}" if grant.note else words


def purpose_in_words(lease: Lease) -> str:
    """Return what a lease was made for."""
    if lease.job is not None:
        return f"the job {lease.job}"
    if lease.ancestors:
        return "a program that got it from another lease"
    return "your login" if lease.subject else "a login by ssh key or Kerberos ticket"


def _lines(items: Iterable[ScopeItem]) -> Iterable[str]:
    for item in items:
        words = _WORDS.get(item.name)
        if item.name == "wlcg.groups" and item.path:
            yield f"say that you are in the group {item.path}"
        elif words is None:
            yield str(item)
        else:
            yield words.format("all places" if item.path == "/" else item.path or "all places")
