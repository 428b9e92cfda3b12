"""Ports on loopback that nobody uses yet, and that stay free while the server behind one restarts.

They are below the range from which the system takes ports for outgoing connections.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credbroker.ports import Entropy

_FIRST, _COUNT, _TRIES = 12_000, 20_000, 200


def free_port(entropy: Entropy, width: int = 1, hosts: Sequence[str] = ("127.0.0.1",)) -> int:
    """Return the first of `width` ports in a row that are free on all of `hosts`. Raises `OSError`."""
    for _ in range(_TRIES):
        first = _FIRST + int(entropy.fraction() * (_COUNT - width))
        if all(_is_free(host, first + at) for host in hosts for at in range(width)):
            return first
    raise OSError("No free port was found on loopback.")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True
