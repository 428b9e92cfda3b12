"""`credbroker agent --list` as systemd runs it, beside a broker behind TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from tests.fakes.broker import FakeBroker, ServedBroker
from tests.unit.edge.test_listed import BEGIN, Site

ROOT = Path(__file__).parents[2]
LOOKS, LOOK_SECONDS = 1000, 0.02


class Program:
    """`credbroker agent --list` as systemd runs it."""

    def __init__(self, site: Site, broker: FakeBroker, address: str, ca_file: Path) -> None:
        self.site = site
        self.broker = broker
        self.more: dict[str, Any] = {"broker": address, "ca_file": str(ca_file)}
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(site.folder / "notify"))
        self.told.settimeout(20)
        self.running: subprocess.Popen[str]

    def start(self) -> None:
        """Start it; return once it says that it is ready."""
        self.running = subprocess.Popen(
            [sys.executable, "-m", "credbroker", "agent", "--list", str(self.site.file)],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(self.site.folder / "notify")},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.told.recv(100) == b"READY=1"

    def stop(self) -> str:
        """Stop it as systemd does; return what it said."""
        self.running.send_signal(signal.SIGTERM)
        said = self.running.communicate(timeout=20)[1]
        assert self.running.returncode == 0, said
        assert self.told.recv(100) == b"STOPPING=1"
        return said

    def until(self, seen: Callable[[], bool]) -> None:
        """Return once `seen`."""
        for _ in range(LOOKS):
            if seen():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running.wait(LOOK_SECONDS)
        pytest.fail("It did not happen.")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """That program with a broker beside it."""
    site = Site(tmp_path)
    authority = make_authority(site.folder, SystemClock())
    authority.issue("server", site.folder)
    broker = FakeBroker(SystemClock())
    served = ServedBroker(broker, site.folder / "server.crt.pem", site.folder / "server.key.pem")
    one = Program(site, broker, served.url, authority.ca_file)
    yield one
    with contextlib.suppress(AttributeError):
        one.running.kill()
        one.running.communicate()
    one.told.close()
    served.stop()


def test_the_program_keeps_what_the_list_names_and_reads_it_again(program: Program) -> None:
    """Ready, served, reloaded, stopped, started: what is fresh is left alone, and no file is gone."""
    site, broker = program.site, program.broker
    site.clock = SystemClock()  # type: ignore[assignment] # its `now` is all that is asked for
    lease = site.lease("one", lease_token=broker.new_lease(), **program.more)
    a, b = site.folder / "a", site.folder / "b"
    site.file.write_text(BEGIN + site.entry("a", lease))
    program.start()
    program.until(a.exists)
    site.file.write_text(BEGIN + site.entry("a", lease) + site.entry("b", lease, ", form: json"))
    program.running.send_signal(signal.SIGHUP)
    program.until(b.exists)
    said = program.stop()
    assert len(broker.given) == 2
    assert b.read_text().startswith('{"access_token":"')
    kept = a.read_text()
    assert kept == broker.given[0].access_token.reveal()
    assert "renewed token=a" in said
    assert kept not in said
    site.file.write_text(site.file.read_text() + site.entry("c", lease))
    program.start()
    program.until((site.folder / "c").exists)
    program.stop()
    assert len(broker.given) == 3, "two were fresh when it started"
    assert a.read_text() == kept
