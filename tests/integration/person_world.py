"""A person at a machine: commands as whole programs, at a terminal or without one, and a fake broker.

The broker speaks real TLS and counts what it is asked. A terminal is one of the kernel's; what
appears on it is waited for with a deadline.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.demo.certificates import make_authority
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy
from tests.fakes.broker import ISSUER_URL, LOGIN_SCOPES, FakeBroker, ServedBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from credbroker.client.http11 import Answer, Request

PATIENCE_SECONDS = 40.0
CREDBROKER = (sys.executable, "-m", "credbroker")

# Makes its standard input the terminal that ^C comes from, as a login does.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class HeldBroker(FakeBroker):
    """A broker whose answers can be held back."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self, request: Request) -> Answer:
        """Answer once answers are let out."""
        self.answers.wait()
        return super().__call__(request)


def until(
    found: Callable[[], object],
    told: Callable[[], object],
    seconds: float = PATIENCE_SECONDS,
) -> None:
    """Return once `found()` is true; fail with what is `told` if that takes too long."""
    clock = SystemClock()
    ends = clock.elapsed() + seconds
    while not found():
        assert clock.elapsed() < ends, told()
        clock.block(0.02)


@dataclass
class Screen:
    """A terminal, and the program that runs in front of it."""

    child: subprocess.Popen[bytes]
    keys: int
    shown: str = ""

    def until(self, text: str) -> None:
        """Return once `text` was shown."""
        self.until_seen(lambda shown: text in shown)

    def until_seen(self, found: Callable[[str], object]) -> None:
        """Return once `found`, asked about all that was shown, says yes."""
        until(lambda: found(self._read()), lambda: self.shown)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.keys, keys.encode())

    def ended(self) -> int:
        """Return the exit code once the program has ended and all was shown."""
        self.until_seen(lambda _: self.child.poll() is not None)
        self._read()
        return self.child.returncode

    def _read(self) -> str:
        while select.select([self.keys], [], [], 0)[0]:
            try:
                more = os.read(self.keys, 65536)
            except OSError:  # nobody has the terminal open any more
                break
            self.shown += more.decode("utf-8", "replace").replace("\r\n", "\n")
        return self.shown


@dataclass
class Machine:
    """Where the person is: the environment of the commands, and the broker they reach."""

    folder: Path
    broker: HeldBroker
    served: ServedBroker
    environ: dict[str, str]
    screens: list[Screen] = field(default_factory=list)

    @property
    def leases(self) -> list[str]:
        """Return the names of all that lies in the folder of logins."""
        folder = lease_file.leases_folder(self.environ)
        return sorted(one.name for one in folder.iterdir()) if folder.exists() else []

    def log_in(self, **fields: object) -> None:
        """Put a lease file there as a login does."""
        lease: dict[str, object] = {
            "broker": self.served.url,
            "lease_token": self.broker.new_lease(),
            "issuer": "cms",
            "issuer_url": ISSUER_URL,
            "role": "default",
            "credkey": "alice",
            "scopes": LOGIN_SCOPES,
            "lease_ends_at": SystemClock().now().replace(year=2099, day=1, microsecond=0),
            "ca_file": self.environ["CREDBROKER_CA_FILE"],
            **fields,
        }
        lease_file.make_leases_folder(self.environ, SystemEntropy())
        path = lease_file.person_path(self.environ, "cms", "default")
        lease_file.write(path, LeaseFile(**lease), SystemEntropy())  # type: ignore[arg-type] # the test knows the fields

    def end_login(self) -> None:
        """End all leases at the broker."""
        self.broker.ended.update(self.broker.leases)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [*CREDBROKER, *words], env=self.environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    def start(self, *words: str, err: Path) -> subprocess.Popen[bytes]:
        """Start a command without a terminal; what it says goes to `err`."""
        with err.open("wb") as said:
            return subprocess.Popen(
                [*CREDBROKER, *words], env=self.environ, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip

    def sit_down(
        self,
        *words: str,
        columns: int = 100,
        out: Path | None = None,
        environ: dict[str, str] | None = None,
    ) -> Screen:
        """Start a command at a terminal; its answer may go to a file `out`."""
        keys, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        with contextlib.ExitStack() as opened:
            answer = terminal if out is None else opened.enter_context(out.open("wb"))
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _AT_TERMINAL, *CREDBROKER, *words],
                env={**self.environ, "TERM": "xterm-256color", **(environ or {})},
                stdin=terminal, stdout=answer, stderr=terminal, start_new_session=True,
            )  # fmt: skip
        os.close(terminal)
        self.screens.append(Screen(child, keys))
        return self.screens[-1]

    def leave(self) -> None:
        """End what still runs, and the broker."""
        for screen in self.screens:
            screen.child.kill()
            screen.child.wait()
            os.close(screen.keys)
        self.served.stop()


@contextlib.contextmanager
def machine_in(folder: Path) -> Iterator[Machine]:
    """Have a machine with its files in `folder`, and a broker that it can reach."""
    authority = make_authority(folder, SystemClock())
    broker = HeldBroker()
    served = ServedBroker(broker, *authority.issue("broker", folder))
    environ = {
        "PATH": os.defpath,
        "HOME": str(folder / "home"),
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_RUNTIME_DIR": str(folder),
        "CREDBROKER_URL": served.url,
        "CREDBROKER_CA_FILE": str(authority.ca_file),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "LANG": "C.UTF-8",
    }
    machine = Machine(folder, broker, served, environ)
    try:
        yield machine
    finally:
        machine.leave()
