"""The ways to the servers that the orders name, one for each, opened when it is first asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from credbroker.client.address import Address, parse_address
from credbroker.client.streams import Door
from credbroker.edge.condor.htvault import HtvaultAsker
from credbroker.edge.condor.local import LocalAsker
from credbroker.edge.condor.wanted import LOCAL, VAULT
from credbroker.edge.orders import Asker
from credbroker.ports import Clock, Entropy

CONNECTIONS_KEPT = 64
"""To one server: an HTVault wants one for each token that is asked for at once."""

OpenDoor = Callable[[Address], Door]
AskBroker = Callable[[Door], Asker]


@dataclass(frozen=True)
class Doors:
    """Opens doors whose servers are checked by these authorities: a file, and a folder of more."""

    ca_file: str | None
    ca_folder: str | None

    def __call__(self, address: Address) -> Door:
        """Open one."""
        return Door(address, self.ca_file, ca_folder=self.ca_folder, most_kept=CONNECTIONS_KEPT)


class Askers:
    """All of them, by the server's name as `edge.condor.wanted` writes it.

    That is its sort, its address and, of a server that stands before many, the issuer's name.
    """

    def __init__(
        self, open_door: OpenDoor, ask_broker: AskBroker, clock: Clock, entropy: Entropy
    ) -> None:
        """Open the doors by `open_door`; `ask_broker` asks a credbroker through one."""
        self._open_door = open_door
        self._ask_broker = ask_broker
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, Asker] = {}
        self._doors: list[Door] = []

    def of(self, server: str) -> Asker:
        """Return the way to a server."""
        if server not in self._known:
            self._known[server] = self._made(server)
        return self._known[server]

    async def open_by(self, open_door: OpenDoor) -> None:
        """Open every door anew by `open_door`, if that is another one; close what is open."""
        if open_door == self._open_door:
            return
        doors, self._doors = self._doors, []
        self._open_door = open_door
        self._known.clear()
        for door in doors:
            door.most_kept = 0  # what is under way there is closed behind it
        await asyncio.gather(*(door.close() for door in doors))

    def _made(self, server: str) -> Asker:
        kind, _, where = server.partition("+")
        door = self._open_door(parse_address(where.partition(" ")[0]))
        self._doors.append(door)
        if kind == VAULT:
            send = partial(door.send, harmless_twice=True)
            return HtvaultAsker(send, self._clock, self._entropy)
        broker = self._ask_broker(door)
        return LocalAsker(broker) if kind == LOCAL else broker
