"""The way to a broker is over the network, and nothing of it is loaded before it is taken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from credbroker.client.http11 import Request
from credbroker.client.opening import open_door
from credbroker.domain.errors import BrokerUnreachable, Malformed
from tests.fakes.step_clock import StepClock


def test_the_usual_way_is_to_the_address_and_nowhere_else() -> None:
    """An address that may mean two places is none."""
    send = open_door("http://127.0.0.1:1", StepClock(), None, None)
    with pytest.raises(BrokerUnreachable, match=r"http://127\.0\.0\.1:1"):
        send(Request("GET", "/livez", {}))
    with pytest.raises(Malformed):
        open_door("https://broker.example.org@elsewhere", StepClock(), None, None)


@pytest.mark.slow
def test_who_asks_nobody_loads_no_network() -> None:
    """A command has its desk long before it knows whether it must ask."""
    watch = "import sys, credbroker.cli.desk; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "credbroker.client.opening" in loaded
    assert not {"ssl", "socket", "credbroker.client.address", "credbroker.client.blocking"} & loaded
