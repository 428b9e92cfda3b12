"""Ports that nobody uses yet."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from credbroker.demo.ports import free_port
from credbroker.host.entropy import SystemEntropy
from tests.fakes.entropy import FakeEntropy

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = ("127.0.0.1", "127.0.0.2")


class Told(FakeEntropy):
    """Its fractions are those that the test set, one after the other."""

    def __init__(self, fractions: Iterator[float]) -> None:
        """Give out these."""
        super().__init__()
        self._fractions = fractions

    def fraction(self) -> float:
        """Return the next one."""
        return next(self._fractions)


def test_all_ports_in_the_row_can_be_listened_on_at_all_addresses() -> None:
    """And the system gives none of them to a connection that goes out."""
    first = free_port(SystemEntropy(), width=2, hosts=HOSTS)
    assert 12_000 <= first < 32_000
    for host in HOSTS:
        for port in (first, first + 1):
            with socket.create_server((host, port)):
                pass


def test_a_row_with_a_port_that_somebody_has_is_passed_over() -> None:
    """Also where it is the last of the row, at one of the addresses."""
    taken = free_port(SystemEntropy(), width=3, hosts=HOSTS) + 1
    at = (taken - 1 - 12_000 + 0.5) / (20_000 - 2)
    with socket.create_server((HOSTS[1], taken)):
        fractions = iter([at, 0.1, 0.3, 0.5, 0.7, 0.9])
        found = free_port(Told(fractions), width=2, hosts=HOSTS)
    assert found != taken - 1


def test_where_none_is_free_that_is_said() -> None:
    """Instead of looking for ever."""
    taken = free_port(SystemEntropy())
    at = (taken - 12_000 + 0.5) / (20_000 - 1)
    with socket.create_server((HOSTS[0], taken)), pytest.raises(OSError, match="No free port"):
        free_port(FakeEntropy(at))
