"""Faults around the brokers: of OpenBao, of the way to it, of issuers, of a job's disk.

Each returns how many faults were seen to take effect, by kind.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.chaos import houses
from tests.chaos.operator import Operator
from tests.chaos.proxy import Trap
from tests.chaos.strikes import Effects, is_successor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from credbroker.demo.issuer.faults import Fault
    from tests.chaos.houses import House
    from tests.chaos.world import World

_TAKE_SECONDS = 15.0
_LEADERLESS_SECONDS = 2.0
_STOPPED_SECONDS = 5.0
_WRONG_SECRET_SECONDS = 4.0


class Troubles:
    """What can happen around brokers."""

    def __init__(self, world: World, operator: Operator) -> None:
        """Trouble `world`; `operator` mends what only an operator can."""
        self._world = world
        self._clock = world.clock
        self._operator = operator
        self._deeds: dict[str, Callable[[str], Awaitable[Effects]]] = {
            "leader_killed": self._leader_killed,
            "leader_stopped": self._leader_stopped,
            "all_nodes_down": self._all_nodes_down,
            "snapshot_restored": self._snapshot_restored,
            "claim_answer_dropped": self._answer_dropped,
            "store_answer_dropped": self._answer_dropped,
            "wrong_secret": self._wrong_secret,
            "issuer_rolled_back": self._rolled_back,
            "sandbox_disk_full": self._sandbox_disk_full,
        }

    async def happen(self, kind: str) -> Effects:
        """Let one fault happen and pass."""
        return await self._deeds.get(kind, self._issuer_fault)(kind)

    async def mend(self) -> None:
        """Have everything be well again."""
        self._world.proxies.traps.clear()
        for house in self._world.houses:
            house.issuer.faults.clear()
            house.change_secret(house.client_secret)
        for sandbox in self._world.sandboxes.all:
            sandbox.disk.empty()
        await self._up()

    @contextmanager
    def _away(self) -> Iterator[None]:
        self._world.vault_is_away += 1
        try:
            yield
        finally:
            self._world.vault_is_away -= 1

    async def _up(self) -> None:
        await self._world.cluster.up()
        await self._world.proxies.follow()

    async def _leader_killed(self, kind: str) -> Effects:
        leader = await self._world.cluster.leader()
        with self._away():
            leader.kill()
            await self._world.proxies.follow()
            if self._world.pace.nodes > 1:
                await self._world.cluster.ready()
            await self._clock.sleep(_LEADERLESS_SECONDS)
            await self._up()
        return Effects({kind: 1})

    async def _leader_stopped(self, kind: str) -> Effects:
        leader = await self._world.cluster.leader()
        with self._away():
            leader.stop()
            await self._clock.sleep(_STOPPED_SECONDS)
            await self._up()
        return Effects({kind: 1})

    async def _all_nodes_down(self, kind: str) -> Effects:
        with self._away():
            for node in self._world.cluster.nodes:
                node.kill()
            await self._world.proxies.follow()
            await self._clock.sleep(self._world.pace.down_seconds)
            await self._up()
        return Effects({kind: 1})

    async def _snapshot_restored(self, kind: str) -> Effects:
        """Go back to a backup, and do what the operator must then do."""
        taken_at = self._clock.elapsed()
        backup = await self._world.cluster.snapshot()
        await self._clock.sleep(self._world.pace.backup_seconds)
        with self._away():
            await self._world.cluster.restore(backup)
            self._world.restored.append((taken_at, self._clock.elapsed()))
        await self._operator.after_restore()
        return Effects({kind: 1})

    async def _answer_dropped(self, kind: str) -> Effects:
        claims = kind.startswith("claim")
        trap = self._world.proxies.set_trap(
            Trap(
                lambda write: write.state == "claimed" if claims else is_successor(write),
                drops_answer=True,
            )
        )
        await self._until(lambda: trap.sprung)
        seen, trap.sprung = trap.sprung, True
        return Effects({kind: 1} if seen else {})

    async def _issuer_fault(self, kind: str) -> Effects:
        house = self._any_house()
        fault = self._fault(kind)
        name = type(fault).__name__
        before = house.met(name)
        house.on_refresh(fault)
        await self._until(lambda: house.met(name) > before)
        house.issuer.faults.clear()
        return Effects({kind: house.met(name) - before})

    def _fault(self, kind: str) -> Fault:
        chance = self._world.dice.fraction()
        acted = self._world.dice.fraction() < 0.5
        if kind == "issuer_delay":
            return houses.Delay(1.0 + 0.7 * chance)
        if kind == "issuer_late":
            return houses.LateAnswer(3.0 + 27.0 * chance * chance, acted=acted)
        if kind == "issuer_html":
            return houses.HtmlAnswer(502, "<html>Bad Gateway</html>", "text/html", acted=acted)
        if kind == "issuer_500":
            return houses.ServerError(500, '{"error": "server_error"}', acted=acted)
        if kind == "issuer_429":
            wait = (("Retry-After", str(1 + int(2 * chance))),)
            return houses.TooMany(429, "Too many requests", "text/plain", wait)
        if kind == "issuer_answer_lost":
            return houses.LostAnswer(acted=True)
        return houses.LostRequest(acted=False)

    async def _wrong_secret(self, kind: str) -> Effects:
        house = self._any_house()
        before = house.refused_clients()
        house.change_secret("another")
        await self._clock.sleep(_WRONG_SECRET_SECONDS)
        house.change_secret(house.client_secret)
        return Effects({kind: 1} if house.refused_clients() > before else {})

    async def _rolled_back(self, kind: str) -> Effects:
        """Let an issuer forget what it did, and then remember that and not what came after."""
        house = self._any_house()
        since = self._clock.elapsed()
        earlier = house.issuer.snapshot()
        await self._clock.sleep(self._world.pace.backup_seconds)
        later = house.issuer.snapshot()
        house.put_back(earlier)
        await self._clock.sleep(self._world.pace.backup_seconds)
        house.put_back(later)
        house.rolled_back.append((since, self._clock.elapsed()))
        await self._operator.release_after_rollback(house)
        return Effects({kind: 1})

    async def _sandbox_disk_full(self, kind: str) -> Effects:
        sandbox = self._world.sandboxes.all[0]
        if not sandbox.disk.mounted:
            return Effects()
        full = sandbox.disk.fill()
        before = sandbox.failures()
        seconds = float(self._world.pace.access_seconds)
        await self._until(lambda: sandbox.failures() > before, seconds)
        sandbox.disk.empty()
        return Effects({kind: 1} if full and sandbox.failures() > before else {})

    def _any_house(self) -> House:
        return self._world.houses[int(self._world.dice.fraction() * len(self._world.houses))]

    async def _until(self, found: Callable[[], object], seconds: float = _TAKE_SECONDS) -> None:
        """Return when something was found; the time that OpenBao is away does not count."""
        left = seconds
        while not found() and left > 0:
            await self._clock.sleep(0.05)
            left -= 0.0 if self._world.vault_is_away else 0.05
