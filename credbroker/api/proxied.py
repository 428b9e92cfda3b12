"""Takes connections of which some come through a balancer that says who calls.

- A connection from a listed address begins with a PROXY protocol header, and the address that it names
  counts everywhere in place of the balancer's. One without such a header is closed.
- From anywhere else a header is no more than bytes that are no TLS: it names nobody.
- TLS ends here in either case; not a byte of it is read before the header is over.
- Who is slow with a header, or breaks off, holds up nobody else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from aiohttp import web

from credbroker.api.connections import Runner
from credbroker.domain.errors import Malformed
from credbroker.ports import Clock
from credbroker.wire.proxy_header import (
    FIRST_BYTES,
    MOST_TEXT_BYTES,
    Caller,
    is_binary,
    read_binary,
    read_text,
    rest_bytes,
)

# A balancer sends its header with the first packet.
HEADER_SECONDS = 5.0
# What keeps connections from being accepted does not pass in no time.
PAUSE_SECONDS = 1.0
_WAITING = 128

Networks = Sequence[IPv4Network | IPv6Network]

log = structlog.get_logger(__name__)


class ProxiedSite(web.BaseSite):
    """Listens on one address for a runner, behind balancers in `proxies`."""

    __slots__ = (
        "_accepting",
        "_address",
        "_clock",
        "_connections",
        "_listeners",
        "_port",
        "_proxies",
        "_shared",
    )

    def __init__(
        self,
        runner: Runner,
        address: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        proxies: Networks,
        clock: Clock,
        shared: bool = False,
    ) -> None:
        """Listen once started; with `shared` other programs of ours may have the port, too."""
        super().__init__(runner, ssl_context=tls)
        self._connections = runner
        self._address, self._port = address, port
        self._proxies = proxies
        self._shared = shared
        self._clock = clock
        self._accepting: list[asyncio.Future[None]] = []
        self._listeners: list[socket.socket] = []

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{self._address} port {self._port}"

    async def start(self) -> None:
        """Listen; raise `OSError` if that is impossible."""
        await super().start()
        found = await asyncio.get_running_loop().getaddrinfo(
            self._address, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, where in dict.fromkeys((one[0], one[4]) for one in found):
            listener = _listening(family, where, shared=self._shared)
            self._listeners.append(listener)
            self._accepting.append(asyncio.ensure_future(self._accept_for_ever(listener)))

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Show `tls` to whoever connects from now on."""
        self._ssl_context = tls

    async def stop(self) -> None:
        """Take no more connections; those that there are stay with the runner."""
        for accepting in self._accepting:
            accepting.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        for listener in self._listeners:  # here, for a task that never began would not
            listener.close()
        await super().stop()

    async def _accept_for_ever(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    accepted, peer = await loop.sock_accept(listener)
                except ConnectionError:
                    continue  # it was over before it was taken
                except OSError:
                    log.exception("not_accepted")  # as while no more files can be opened
                    await self._clock.sleep(PAUSE_SECONDS)
                else:
                    tasks.create_task(self._serve(accepted, peer[:2]))

    async def _serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        """Hand one connection to the runner; whatever is wrong with it ends this one alone."""
        try:
            caller = await self._caller(accepted, peer)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._connections.connection_from, caller or peer),
                accepted,
                ssl=self._ssl_context,
            )
        except (OSError, Malformed) as error:
            log.info("connection_refused", address=peer[0], why=type(error).__name__)
            accepted.close()
        except Exception:
            log.exception("connection_broke", address=peer[0])
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _caller(self, accepted: socket.socket, peer: tuple[str, int]) -> Caller:
        there = ip_address(peer[0].partition("%")[0])
        there = getattr(there, "ipv4_mapped", None) or there
        if not any(there in network for network in self._proxies):
            return None
        async with asyncio.timeout(HEADER_SECONDS):
            return await _header(accepted)


async def _header(accepted: socket.socket) -> Caller:
    """Read the header and not a byte more."""
    first = await _exactly(accepted, FIRST_BYTES)
    if is_binary(first):
        fixed = await _exactly(accepted, 4)
        return read_binary(fixed, await _exactly(accepted, rest_bytes(fixed)))
    line = first
    while not line.endswith(b"\n") and len(line) < MOST_TEXT_BYTES:
        line += await _exactly(accepted, 1)
    return read_text(line)


async def _exactly(accepted: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        more = await asyncio.get_running_loop().sock_recv(accepted, count - len(read))
        if not more:
            raise ConnectionResetError("it ended before its header")
        read += more
    return read


def _listening(family: int, where: tuple[object, ...], *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(_WAITING)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
