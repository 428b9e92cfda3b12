"""`credbroker admin issuer release`: an operator's word that an issuer can be believed again.

Grants go back to use first and the brake comes off last, so that breaking off in between leaves
nothing that a second call does not do.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office
from credbroker.broker.custody.replicas import name_segment
from credbroker.broker.storing import put_surely
from credbroker.broker.walking import walk
from credbroker.domain import rotation
from credbroker.domain.brake import WINDOW_SECONDS
from credbroker.domain.errors import NotFound
from credbroker.domain.grants import Grant, GrantState
from credbroker.domain.losses import BRAKED, RESTORED
from credbroker.ports import StaleVersionError, Stored

Test = Callable[[Stored[Grant]], bool]


async def release(office: Office, name: str, *, restore: bool) -> None:
    """Take the brake of the issuer `name` off, and print how many grants go back to use.

    Those go back that were called dead while the brake was on; with `restore` also those that were
    lost in the 10 minutes before. Raises `NotFound`, and `StoreUnavailable` kinds.
    """
    office.settings_of(name)
    braked_at = await _braked_at(office, name)
    if restore and braked_at is None:
        raise NotFound(
            f"No brake is on at {name}, so it is not known since when logins were lost wrongly.",
            "Leave --restore out.",
        )
    tests: dict[str, Test] = {"kept back by it": _was_braked}
    if restore and braked_at is not None:
        # The verdicts that tipped the brake are no older than what it looks at.
        since = braked_at - datetime.timedelta(seconds=WINDOW_SECONDS)
        tests[f"lost since {since:%H:%M}"] = _lost_since(since, office.desk)
    counts, damaged = await _released(office, name, tests)
    await (await office.marks({})).release(name)
    audit = office.means.audit
    await audit.record("issuer_released", issuer=name, released=sum(counts.values()))
    _tell(office.desk, name, braked_at, counts, damaged)


async def _braked_at(office: Office, name: str) -> datetime.datetime | None:
    found = await office.issuer_marks.get(name_segment(name))
    return found.value.braked_at if found is not None else None


def _was_braked(found: Stored[Grant]) -> bool:
    return found.value.state is GrantState.PAUSED and found.value.reason == BRAKED


def _lost_since(since: datetime.datetime, desk: Desk) -> Test:
    def lost(found: Stored[Grant]) -> bool:
        grant = found.value
        if grant.state is not GrantState.LOST or grant.reason == RESTORED:
            return False
        if grant.posts >= rotation.MOST_POSTS:
            return False  # an answer was lost before it was refused: a third post is never made
        written_at = desk.clock.now() - datetime.timedelta(seconds=found.age_seconds)
        return grant.refresh_token is not None and written_at >= since

    return lost


async def _released(
    office: Office, name: str, tests: dict[str, Test]
) -> tuple[dict[str, int], int]:
    """Return how many grants went back to use, by why they were out of it, and how many are damaged."""
    counts, damaged = dict.fromkeys(tests, 0), 0
    async for found in walk(office.grants):
        if found.stored is None:
            damaged += 1
            continue
        if found.stored.value.key.issuer != name:
            continue
        for why, test in tests.items():
            if test(found.stored):
                counts[why] += await _release_one(office, found.segment, found.stored, test)
    return counts, damaged


async def _release_one(office: Office, segment: str, found: Stored[Grant], test: Test) -> bool:
    """Write it; False if it changed meanwhile so that there is nothing to release any more."""
    there: Stored[Grant] | None = found
    while there is not None and test(there):
        grant = rotation.release(there.value, office.desk.entropy.token(16))
        try:
            await put_surely(
                office.grants, segment, grant, there.version,
                is_ours=lambda it: it.write_id == grant.write_id,  # noqa: B023 - used before the next
            )  # fmt: skip
        except StaleVersionError:
            there = await office.grants.get(segment)
            continue
        return True
    return False


def _tell(
    desk: Desk, name: str, braked_at: datetime.datetime | None, counts: dict[str, int], damaged: int
) -> None:
    if braked_at is None:
        desk.answer(f"No brake was on at {name}.")
    else:
        desk.answer(f"The brake at {name}, on since {braked_at:%Y-%m-%d %H:%M UTC}, is off.")
    for why, count in counts.items():
        desk.answer(f"{count} login{'s' * (count != 1)} {why} can be used again.")
    if damaged:
        desk.answer(f"{damaged} record{'s' * (damaged != 1)} cannot be read.")
