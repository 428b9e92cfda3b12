"""The ways to the servers that the orders name, one for each, opened when it is first asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from credbroker.client.address import Address, parse_address
from credbroker.client.streams import Door
from credbroker.edge.condor.htvault import HtvaultAsker
from credbroker.edge.condor.local import LocalAsker
from credbroker.edge.condor.wanted import LOCAL, VAULT
from credbroker.edge.orders import Asker
from credbroker.ports import Clock, Entropy

OpenDoor = Callable[[Address], Door]
AskBroker = Callable[[Door], Asker]


class Askers:
    """All of them, by the server's name as `edge.condor.wanted` writes it: its sort, its address."""

    def __init__(
        self, open_door: OpenDoor, ask_broker: AskBroker, clock: Clock, entropy: Entropy
    ) -> None:
        """Open the doors by `open_door`; `ask_broker` asks a credbroker through one."""
        self._open_door = open_door
        self._ask_broker = ask_broker
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, Asker] = {}

    def of(self, server: str) -> Asker:
        """Return the way to a server."""
        if server not in self._known:
            self._known[server] = self._made(server)
        return self._known[server]

    def open_by(self, open_door: OpenDoor) -> None:
        """Open every door anew from here on, by `open_door`."""
        self._open_door = open_door
        self._known.clear()

    def _made(self, server: str) -> Asker:
        kind, _, address = server.partition("+")
        door = self._open_door(parse_address(address))
        if kind == VAULT:
            send = partial(door.send, harmless_twice=True)
            return HtvaultAsker(send, self._clock, self._entropy)
        broker = self._ask_broker(door)
        return LocalAsker(broker) if kind == LOCAL else broker
