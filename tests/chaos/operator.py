"""What an operator does in a campaign: types the commands that the product offers operators."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from credbroker.domain.losses import BRAKED
from tests.chaos.pace import BROKERS

if TYPE_CHECKING:
    from tests.chaos.houses import House
    from tests.chaos.world import World

_AGAIN_SECONDS = 3.0
_PATIENCE_SECONDS = 150.0


class Operator:
    """Mends what nobody else may."""

    def __init__(self, world: World) -> None:
        """Act in `world`."""
        self._world = world
        self.said: list[str] = []

    async def after_restore(self) -> None:
        """Let refreshes go on after a restored backup, once every broker has sorted its grants."""
        ends = self._world.clock.elapsed() + _PATIENCE_SECONDS
        while not await self._typed("restored"):
            if self._world.clock.elapsed() > ends:
                return
            await self._world.clock.sleep(_AGAIN_SECONDS)

    async def release(self, house: House) -> None:
        """Believe an issuer again that is well again."""
        await self._typed("issuer", "release", house.name)

    async def release_after_rollback(self, house: House) -> None:
        """Believe an issuer again, and give back what it called dead while it was not itself."""
        if not await self._typed("issuer", "release", house.name, "--restore"):
            await self.release(house)

    async def mend(self) -> None:
        """Leave no halt and no brake, where there may be any."""
        if self._world.restored:
            await self.after_restore()
        braked = {one.segment for one in self._world.witness.writes if one.reason == BRAKED}
        for house in self._world.houses:
            if any(one.segment in braked for one in self._world.people.members_of(house)):
                await self.release(house)

    async def _typed(self, *words: str) -> bool:
        """Run `credbroker admin` with these words; tell if it did what it should."""
        config = self._world.fleet.brokers[BROKERS[0]].folder / "right"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "credbroker", "admin", *words, "--config", str(config),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.defpath, "HOME": str(self._world.folder)}, start_new_session=True,
        )  # fmt: skip
        said, _ = await child.communicate()
        line = f"admin {' '.join(words)}: {said.decode(errors='replace').strip()}"
        self.said.append(line)
        with (self._world.folder / "operator.log").open("a") as log:
            log.write(line + "\n")
        return child.returncode == 0
