"""Names of addresses, for people to recognise a machine by.

A name counts only if it leads back to the address: whoever owns a network can give its addresses any
name. Looking takes a second at the most, in threads of its own, however silent the name server is.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

LOOK_SECONDS = 1.0
_AT_ONCE = 4


class HostNames:
    """Looks names up, a few at a time."""

    def __init__(self, seconds: float = LOOK_SECONDS) -> None:
        """Wait `seconds` for each name."""
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="host-name")

    async def of(self, address: str) -> str:
        """Return the name of an address; empty if there is none, or none that leads back to it."""
        looking = asyncio.get_running_loop().run_in_executor(self._threads, _confirmed, address)
        try:
            async with asyncio.timeout(self._seconds):
                return await looking
        except (TimeoutError, OSError, UnicodeError):
            return ""

    def close(self) -> None:
        """Let go of the threads, without waiting for a name server."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _confirmed(address: str) -> str:
    name, _ = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)
    found = {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    return name if address in found and name.isprintable() else ""
