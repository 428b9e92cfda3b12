"""An address has a name only if the name leads back to it, and nobody waits long for one."""

from __future__ import annotations

import socket
import threading

import pytest

from credbroker.host.names import HostNames


def resolve(patch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Let every address have this name, and the name these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in addresses]
    patch.setattr(socket, "getnameinfo", lambda *_: (name, "0"))
    patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


async def test_a_name_that_leads_back_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among whatever other addresses it has."""
    resolve(monkeypatch, "ui.site.test", "192.0.2.9", "192.0.2.7")
    names = HostNames()
    assert await names.of("192.0.2.7") == "ui.site.test"
    names.close()


async def test_a_name_that_its_owner_made_up_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns a network can name its addresses after any site."""
    resolve(monkeypatch, "login.trusted.test", "198.51.100.1")
    names = HostNames()
    assert not await names.of("192.0.2.7")
    names.close()


async def test_an_address_without_a_name_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor has what is no address."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getnameinfo", unknown)
    names = HostNames()
    assert not await names.of("unknown")
    names.close()


async def test_a_silent_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The login goes on without a name."""
    silent = threading.Event()
    monkeypatch.setattr(socket, "getnameinfo", lambda *_: silent.wait(10))
    names = HostNames(seconds=0.01)
    assert not await names.of("192.0.2.7")
    silent.set()
    names.close()
