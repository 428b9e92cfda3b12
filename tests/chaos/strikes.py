"""Faults of brokers: killed and frozen at a point, clocks off, wrong settings, full disks.

Each returns how many faults were seen to take effect, by kind; an empty answer means none was.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from typing import TYPE_CHECKING

from credbroker.domain.errors import ClockOff
from tests.chaos import pace, plan
from tests.chaos.fleet import Broker
from tests.chaos.proxy import Trap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.points import Armed, Reached
    from tests.chaos.witness import Write
    from tests.chaos.world import World

Effects = Counter[str]

_REACH_SECONDS = 15.0
_LEFT_SECONDS = 30.0
_UNDER_WRONG_SECONDS = 8.0
_YOUNG_SECONDS = 2
_END_SECONDS = 25.0
_HOLD_SECONDS = 3.0
_STOP_SECONDS = 1.5
_SETTLED_SECONDS = 12.0
_LEAVES_A_CLAIM = ("claimed", "answered")


class Strikes:
    """What can be done to brokers."""

    def __init__(self, world: World) -> None:
        """Strike the brokers of `world`."""
        self._world = world
        self._clock = world.clock
        self._points = world.points
        self._fleet = world.fleet
        self._reviving = {name: asyncio.Lock() for name in world.fleet.brokers}

    async def strike(self, kind: str, name: str) -> Effects:
        """Let one fault happen, at the broker `name` if that can be chosen."""
        what, _, where = kind.partition("@")
        broker = self._fleet.brokers[name]
        if what in {"kill", "stop", "stop_longer_than_claim"}:
            return await self._at_point(what, where, broker)
        if what.startswith("clock"):
            return await self._clock_off(kind, broker)
        if what == "wrong_client_id":
            return await self._wrong_client(kind, broker)
        return await self._spool_disk_full(kind)

    async def revive(self, broker: Broker) -> None:
        """Return when a broker serves, having started it if it does not run."""
        async with self._reviving[broker.name]:
            await self._world.until_serving(broker)

    async def mend(self) -> None:
        """Have every broker run with the right clock and settings."""
        for broker in self._fleet.brokers.values():
            if broker.runs and not broker.is_right:
                await self._end(broker)
            if not broker.runs:
                broker.offset, broker.config = 0.0, "right"
            await self.revive(broker)

    async def _at_point(self, what: str, point: str, broker: Broker) -> Effects:
        strike = self._kill if what == "kill" else self._freeze(what)
        provoke = {
            "settling": self._leave_a_claim,
            "handing_in": self._leave_a_successor,
            "spooled": self._hold_a_store,
            "login_answered": self._new_login,
            "login_stored": self._new_login,
        }.get(point)
        rare = point in {"settling", "handing_in"}
        armed = self._points.arm(point, strike, None if rare else broker.name)
        seen = Effects()
        if provoke is not None:
            seen += await provoke(broker)
        if await self._has_struck(armed, _LEFT_SECONDS if rare else _REACH_SECONDS):
            seen[f"{what}@{point}"] += 1
        await self._revive_all()
        return seen

    async def _kill(self, reached: Reached) -> bool:
        await self._fleet.brokers[reached.broker].kill(self._clock.elapsed(), reached.life)
        return False

    def _freeze(self, what: str) -> Callable[[Reached], Awaitable[bool]]:
        longer = what == "stop_longer_than_claim"
        least = pace.CLAIM_SECONDS + 1.0 if longer else _STOP_SECONDS / 2

        async def freeze(reached: Reached) -> bool:
            broker = self._fleet.brokers[reached.broker]
            with contextlib.suppress(ProcessLookupError):
                broker.signal(signal.SIGSTOP)
                await self._clock.sleep(least + self._world.dice.fraction() * _STOP_SECONDS)
                if longer and reached.point in _LEAVES_A_CLAIM:
                    await self._somebody_settles(reached)
                broker.signal(signal.SIGCONT)
            return True

        return freeze

    async def _somebody_settles(self, reached: Reached) -> None:
        """Wait, for a while, until another broker has written in the place of the claim left here.

        A claim longer than its time is nothing yet: what comes of it shows once somebody took it up.
        """
        ends = self._clock.elapsed() + _SETTLED_SECONDS
        while self._clock.elapsed() < ends and not any(
            one.segment == reached.segment and one.broker != reached.broker and one.committed_at
            for one in reversed(self._world.witness.writes)
            if one.at > reached.at
        ):
            await self._clock.sleep(0.1)

    async def _has_struck(self, armed: Armed, seconds: float) -> bool:
        """Wait for a strike; the time that OpenBao is away does not count."""
        left = seconds
        while not armed.struck.done() and left > 0:
            await self._clock.sleep(0.1)
            left -= 0.0 if self._world.vault_is_away else 0.1
        self._points.disarm(armed)
        if not armed.struck.done() and any(b.frozen for b in self._fleet.brokers.values()):
            await self._clock.sleep(pace.CLAIM_SECONDS + 3.0 + _SETTLED_SECONDS)
        return armed.struck.done()

    async def _revive_all(self) -> None:
        for broker in self._fleet.brokers.values():
            if not broker.runs:
                await self.revive(broker)

    async def _leave_a_claim(self, broker: Broker) -> Effects:
        return await self._at_point("kill", "claimed", broker)

    async def _leave_a_successor(self, broker: Broker) -> Effects:
        return await self._at_point("kill", "spooled", broker)

    async def _hold_a_store(self, broker: Broker) -> Effects:
        """Let a store of this broker take so long that its successor goes to the spool."""

        def catches(write: Write) -> bool:
            return write.broker == broker.name and is_successor(write)

        self._world.proxies.set_trap(Trap(catches, hold_seconds=_HOLD_SECONDS))
        return Effects()

    async def _new_login(self, broker: Broker) -> Effects:
        """Have somebody log in once more at this broker."""
        members = [one for one in self._world.people.members if not one.must_log_in]
        if members:
            member = members[int(self._world.dice.fraction() * len(members))]
            await self._world.people.log_in(member, broker)
        return Effects()

    async def _clock_off(self, kind: str, broker: Broker) -> Effects:
        """A replica that knows its clock to be off uses no refresh token, and says why."""
        offset = plan.CLOCKS[kind.removeprefix("clock")]
        await self._restart(broker, offset, "right")
        await self._clock.sleep(_UNDER_WRONG_SECONDS)
        asked = [
            await self._world.people.token(member, broker)
            for member in self._world.people.members[:8]
        ]
        await self._restart(broker, 0.0, "right")
        refused = any(said is not None and said.code == ClockOff.code for said in asked)
        return Effects({kind: 1} if refused else {})

    async def _wrong_client(self, kind: str, broker: Broker) -> Effects:
        await self._restart(broker, 0.0, "wrong-client")
        # What another broker's refresh brought is served by this one, too; so ask for newer ones.
        floor = self._world.pace.access_seconds - _YOUNG_SECONDS
        await self._clock.sleep(_YOUNG_SECONDS)
        refused = 0
        for member in self._world.people.members[:8]:
            said = await self._world.people.token(member, broker, floor)
            refused += said is not None and said.status >= 400
        await self._restart(broker, 0.0, "right")
        return Effects({kind: 1} if refused else {})

    async def _spool_disk_full(self, kind: str) -> Effects:
        """Fill the disk that the broker with a host of its own keeps its spool on."""
        disk, broker = self._world.spool_disk, self._fleet.brokers["far"]
        if not disk.mounted:
            return Effects()
        async with self._world.spool_disk_in_use:
            full = disk.fill()
            armed = self._points.arm("spooled", _go_on, broker.name)
            await self._hold_a_store(broker)
            spooled = await self._has_struck(armed, _REACH_SECONDS)
            disk.empty()
        return Effects({kind: 1} if full and spooled else {})

    async def _restart(self, broker: Broker, offset: float, config: str) -> None:
        async with self._reviving[broker.name]:
            await self._end(broker)
            await broker.start(offset, config)
            await self._world.until_serving(broker)

    async def _end(self, broker: Broker) -> None:
        """End a broker in good order, as an operator would; it finishes what it began."""
        if not broker.runs or broker.child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            broker.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await broker.child.wait()
        except TimeoutError:
            await broker.kill(self._clock.elapsed(), self._points.lives[broker.name])


async def _go_on(_reached: Reached) -> bool:
    return True


def is_successor(write: Write) -> bool:
    """True if a write stores what a refresh gave; logins come with another generation, too."""
    return write.state == "ready" and write.generation > 1
