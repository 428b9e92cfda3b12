"""What systemd hears from the broker, on a socket of the test's own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from credbroker.host.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    """A datagram socket as systemd opens it; a message waits in it for two seconds at the most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.settimeout(2)
        yield opened


def test_systemd_hears_that_the_broker_is_ready(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state arrives as one datagram."""
    systemd.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_a_leading_at_sign_names_an_abstract_socket(
    systemd: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`@name` stands for a name that begins with NUL, as sd_notify(3) has it."""
    systemd.bind(f"\0{tmp_path}/notify")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}/notify")
    notify("STOPPING=1")
    assert systemd.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("value", [None, ""])
def test_without_systemd_nothing_is_said(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that was started by hand runs all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    notify("READY=1")


def test_a_systemd_that_is_gone_does_not_hurt_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there any more, and the broker goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
