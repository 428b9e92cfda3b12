"""Bugs put into a broker on purpose: a campaign that does not find them would find no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from credbroker.broker.custody.successors import Successors
from credbroker.domain import rotation
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.outcomes import Renewed

if TYPE_CHECKING:
    from collections.abc import Callable

    from credbroker.broker.custody.successors import Claimed
    from credbroker.domain.outcomes import Outcome


def plant(name: str) -> None:
    """Change this program, before it serves, so that it has the bug of this name."""
    BUGS[name]()


def publish_before_store() -> None:
    """Give an access token out while the successor that came with it is still being stored."""
    follow = Successors.follow

    async def hurried(
        self: Successors, claimed: Claimed, outcome: Outcome, *, believed: bool = True
    ) -> Grant:
        storing = follow(self, claimed, outcome, believed=believed)
        if not isinstance(outcome, Renewed):
            return await storing
        self._deeds.begin(storing, "store later")
        return rotation.settle(
            claimed.grant, outcome, rotation.Rule(), "unwritten", self._clock.now()
        )

    _put(Successors, "follow", hurried)


def take_over_expired_claim() -> None:
    """Take an old claim for one that came to nothing, so that its value is posted once more."""

    def as_if_unused(claimed: Grant, _rule: rotation.Rule, write_id: str, _age: float) -> Grant:
        return replace(claimed, state=GrantState.READY, posts=0, write_id=write_id, claimed_by=None)

    _put(rotation, "settle_left_claim", as_if_unused)


def drop_successor_on_mismatch() -> None:
    """Let a successor go when somebody else has written in its place meanwhile."""
    _put(rotation, "may_replace", lambda _ours, _found, _claimed: False)


def _put(owner: Any, name: str, instead: Callable[..., Any]) -> None:
    setattr(owner, name, instead)


BUGS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (publish_before_store, take_over_expired_claim, drop_successor_on_mismatch)
}
