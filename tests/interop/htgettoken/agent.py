"""A real ssh-agent with one key."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_START_SECONDS = 5.0


@contextmanager
def running_agent(folder: Path) -> Iterator[dict[str, str]]:
    """Run an agent for a while, with a new key; give what names it in an environment."""
    socket, key = folder / "agent", folder / "key"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    named = {"SSH_AUTH_SOCK": str(socket)}
    try:
        _await(socket)
        subprocess.run(["ssh-add", "-q", str(key)], env=named, check=True, capture_output=True)
        yield named
    finally:
        running.kill()
        running.wait()


def _await(socket: Path) -> None:
    clock = SystemClock()
    ends = clock.elapsed() + _START_SECONDS
    while not socket.exists():
        assert clock.elapsed() < ends, "ssh-agent did not start"
        clock.block(0.02)
