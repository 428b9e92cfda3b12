"""One campaign from its first login to the last check.

The lanes run side by side: faults of brokers, of OpenBao, of the answers between them, of issuers,
of disks. When all are through, everything is mended, everybody who must has logged in again, and
each grant that is ready is refreshed once more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos import pace as paces
from tests.chaos import plan as plans
from tests.chaos.checks import check
from tests.chaos.operator import Operator
from tests.chaos.report import BROKEN_OFF, MUST_BE_NONE, Report
from tests.chaos.strikes import Strikes
from tests.chaos.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.people import Member
    from tests.chaos.plan import Plan
    from tests.chaos.world import World

_TRIES = 3
_LOOK_SECONDS = 0.2
_SETTLE_SECONDS = 45.0
_REFRESH_SECONDS = 75.0
_YOUNG_SECONDS = 3
_FINDINGS_SHOWN = 20
_FILLING = ("claim_answer_dropped", "store_answer_dropped")


class Campaign:
    """Lets a plan happen in a world, and reports."""

    def __init__(
        self, world: World, plan: Plan, report: Report, say: Callable[[str], None]
    ) -> None:
        """Prepare; `say` takes a line of progress."""
        self._world = world
        self._clock = world.clock
        self._plan = plan
        self._report = report
        self._say = say
        self._effects: Counter[str] = Counter()
        self._operator = Operator(world)
        self._started = 0.0

    async def run(self) -> None:
        """Do all of it; the report is complete afterwards, also if it took too long."""
        self._started = self._clock.elapsed()
        self._strikes = Strikes(self._world)
        self._troubles = Troubles(self._world, self._operator)
        async with asyncio.TaskGroup() as work:
            begun = [work.create_task(self._work())]
            try:
                async with asyncio.timeout(self._world.pace.most_seconds):
                    await self._all_logged_in()
                    self._say(f"{len(self._world.people.members)} people have logged in")
                    await self._all_lanes()
            except TimeoutError:
                self._report.not_finished = "The time was up before every fault had happened."
            self._say("mending everything")
            await self._afterwards()
            for task in begun:
                task.cancel()
        if self._report.not_finished == BROKEN_OFF:
            self._report.not_finished = ""
        self._report.seconds = round(self._clock.elapsed() - self._started, 1)
        self._sum_up()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._world.people.begin(tasks)
            self._world.sandboxes.begin(tasks)

    async def _all_logged_in(self) -> None:
        while any(not one.lease for one in self._world.people.members):
            await self._clock.sleep(_LOOK_SECONDS)

    async def _all_lanes(self) -> None:
        async with asyncio.TaskGroup() as lanes:
            for lane, names in self._plan.lanes.items():
                left = list(names)
                for number in range(plans.LANES[lane]):
                    lanes.create_task(self._lane(lane, left, paces.BROKERS[number]))
        # Some come in vain; others, which are quickly had, make up for them.
        while (missing := self._report.count - self._effects.total()) > 0:
            await self._lane(plans.ANSWERS, [*_FILLING * missing][:missing], "")

    async def _lane(self, lane: str, left: list[str], broker: str) -> None:
        """Take one fault after the other from what is left, each up to three times in vain."""
        in_vain: Counter[str] = Counter()
        while left:
            kind = left.pop(0)
            if lane == plans.BROKER:
                seen = await self._strikes.strike(kind, broker)
            else:
                seen = await self._troubles.happen(kind)
            self._effects += seen
            if not seen[kind]:
                in_vain[kind] += 1
                if in_vain[kind] < _TRIES:
                    left.append(kind)
            self._tell(kind, seen)

    def _tell(self, kind: str, seen: Counter[str]) -> None:
        at = self._clock.elapsed() - self._started
        in_vain = "" if seen[kind] else " (in vain)"
        self._say(f"{at:>7.1f} s {self._effects.total():>5} {kind}{in_vain}")

    async def _afterwards(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_SECONDS + _REFRESH_SECONDS + 60.0):
                await self._troubles.mend()
                await self._strikes.mend()
                await self._operator.mend()
                await self._all_settled()
                await self._refresh_all()
        except TimeoutError:
            self._report.not_finished = "After the last fault not everything came to rest in time."

    async def _all_settled(self) -> None:
        """Return when nobody has to log in and no grant is in between, or after a while."""
        ends = self._clock.elapsed() + _SETTLE_SECONDS
        while self._clock.elapsed() < ends:
            records = await self._world.records.all()
            resting = {name for name, one in records.items() if one["state"] in {"ready", "lost"}}
            waiting = [
                one
                for one in self._world.people.members
                if one.must_log_in or one.segment not in resting
            ]
            if not waiting:
                return
            await asyncio.gather(*(self._ask_fresh(one) for one in waiting))
            await self._clock.sleep(1.0)

    async def _refresh_all(self) -> None:
        """Refresh every grant that is ready once more, and count those that could be."""
        self._world.people.rests = True
        await self._clock.sleep(_YOUNG_SECONDS + 1.0)
        before = await self._world.records.all()
        ready = {name: one for name, one in before.items() if one["state"] == "ready"}
        members = [one for one in self._world.people.members if one.segment in ready]
        self._report.ready_after_last_fault = len(ready)
        self._report.states = dict(Counter(str(one["state"]) for one in before.values()))
        ends = self._clock.elapsed() + _REFRESH_SECONDS
        while members and self._clock.elapsed() < ends:
            await asyncio.gather(*(self._ask_fresh(one) for one in members))
            now = await self._world.records.all()
            members = [
                one
                for one in members
                if now[one.segment]["generation"] <= ready[one.segment]["generation"]
            ]
        self._report.refreshed_after_last_fault = len(ready) - len(members)
        self._report.findings += [f"not refreshed: {one.person}" for one in members]

    async def _ask_fresh(self, member: Member) -> None:
        broker = self._world.any_well()
        if broker is not None:
            floor = self._world.pace.access_seconds - _YOUNG_SECONDS
            await self._world.people.token(member, broker, floor)

    def _sum_up(self) -> None:
        world, report = self._world, self._report
        report.faults = dict(self._effects)
        report.points = dict(world.points.hits)
        in_vain = {kind for names in self._plan.lanes.values() for kind in names} - set(
            report.faults
        )
        report.left_out = sorted({*self._plan.left_out, *in_vain})
        report.openbao_nodes = world.pace.nodes
        report.grants = len(world.people.members)
        report.logins = world.people.logins
        report.refreshes = sum(house.issuer.count_refreshes() for house in world.houses)
        report.tokens_given = len(world.people.deliveries)
        report.samples = sum(one.samples for one in world.sandboxes.all)
        report.in_doubt = sum(one.state == "in_doubt" for one in world.people.losses)
        report.lost = sum(one.state == "lost" for one in world.people.losses)
        report.paused = len({one.segment for one in world.witness.writes if one.state == "paused"})
        found = check(world)
        report.explained = found.explained
        for name in MUST_BE_NONE:
            sentences = getattr(found, name)
            setattr(report, name, len(sentences))
            report.findings += [f"{name}: {one}" for one in sentences[:_FINDINGS_SHOWN]]
