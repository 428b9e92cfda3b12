"""Each server is asked in its own way, through a door of its own."""

from __future__ import annotations

from credbroker.client.address import Address
from credbroker.client.streams import Door
from credbroker.edge.condor.askers import CONNECTIONS_KEPT, Askers, Doors
from credbroker.edge.condor.htvault import HtvaultAsker
from credbroker.edge.condor.local import LocalAsker
from credbroker.edge.orders import Asker
from tests.fakes.clock import FakeClock
from tests.fakes.edge import FakeAsker
from tests.fakes.entropy import FakeEntropy


def test_a_server_is_asked_by_its_sort_and_its_door_is_kept() -> None:
    """An HTVault, a broker and the standing lease's broker."""
    clock = FakeClock()
    opened: list[Address] = []
    broker: Asker = FakeAsker(clock)

    def door(address: Address) -> Door:
        opened.append(address)
        return Door(address)

    askers = Askers(door, lambda _: broker, clock, FakeEntropy())
    assert isinstance(askers.of("vault+https://v.example.org:8200 cms"), HtvaultAsker)
    assert isinstance(askers.of("local+https://b.example.org:8200"), LocalAsker)
    assert askers.of("lease+https://b.example.org:8200") is broker
    assert askers.of("vault+https://v.example.org:8200 cms") is not None
    assert [one.host for one in opened] == ["v.example.org", "b.example.org", "b.example.org"]


async def test_connections_outlive_a_signal_and_end_with_the_authorities_they_trusted() -> None:
    """HTCondor signals at each new credential; what nobody closes is open for ever."""
    opened: list[Opened] = []

    def ask(door: Door) -> Asker:
        assert isinstance(door, Opened)
        opened.append(door)
        return FakeAsker(FakeClock())

    class Watched(Doors):
        def __call__(self, address: Address) -> Door:
            return Opened(address, self.ca_file)

    askers = Askers(Watched("one", None), ask, FakeClock(), FakeEntropy())
    asker = askers.of("lease+https://b.example.org:8200")
    await askers.open_by(Watched("one", None))
    assert askers.of("lease+https://b.example.org:8200") is asker
    await askers.open_by(Watched("two", None))
    assert askers.of("lease+https://b.example.org:8200") is not asker
    assert [(one.ca_file, one.is_closed, one.most_kept) for one in opened] == [
        ("one", True, 0),
        ("two", False, 8),
    ]


def test_a_door_trusts_the_authorities_of_the_settings() -> None:
    """And keeps a connection for each token that is asked for at once."""
    door = Doors("/ca.pem", "/authorities")(Address("https", "v.example.org", 8200))
    assert (door.ca_file, door.ca_folder) == ("/ca.pem", "/authorities")
    assert door.most_kept == CONNECTIONS_KEPT


class Opened(Door):
    """A door that tells whether it was closed."""

    is_closed = False

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True
