"""Each server is asked in its own way, through a door of its own."""

from __future__ import annotations

from credbroker.client.address import Address
from credbroker.client.streams import Door
from credbroker.edge.condor.askers import Askers
from credbroker.edge.condor.htvault import HtvaultAsker
from credbroker.edge.condor.local import LocalAsker
from credbroker.edge.orders import Asker
from tests.fakes.clock import FakeClock
from tests.fakes.edge import FakeAsker
from tests.fakes.entropy import FakeEntropy


def test_a_server_is_asked_by_its_sort_and_its_door_is_kept() -> None:
    """An HTVault, a broker and the standing lease's broker; new settings open new doors."""
    clock = FakeClock()
    opened: list[Address] = []
    broker: Asker = FakeAsker(clock)

    def door(address: Address) -> Door:
        opened.append(address)
        return Door(address)

    askers = Askers(door, lambda _: broker, clock, FakeEntropy())
    assert isinstance(askers.of("vault+https://v.example.org:8200"), HtvaultAsker)
    assert isinstance(askers.of("local+https://b.example.org:8200"), LocalAsker)
    assert askers.of("lease+https://b.example.org:8200") is broker
    assert askers.of("vault+https://v.example.org:8200") is not None
    assert [one.host for one in opened] == ["v.example.org", "b.example.org", "b.example.org"]
    askers.open_by(door)
    askers.of("vault+https://v.example.org:8200")
    assert len(opened) == 4
