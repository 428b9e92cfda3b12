"""The broker's port: where it listens, and which certificate it shows there.

- A new certificate is shown to whoever connects from then on; those who are connected stay so.
- The port is open throughout: nobody who connects meanwhile is turned away.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from ipaddress import ip_network

from aiohttp import web

from credbroker.api.connections import Runner
from credbroker.api.proxied import ProxiedSite
from credbroker.config.schema import Listen
from credbroker.domain.errors import BadSettings
from credbroker.ports import Clock


async def begin_listening(
    runner: Runner, listen: Listen, tls: ssl.SSLContext | None, clock: Clock, *, shared: bool
) -> None:
    """Listen at each address; with `shared`, other workers have the same port. Raises `BadSettings`."""
    for address in listen.addresses:
        try:
            await _site(runner, address, listen, tls, clock=clock, shared=shared).start()
        except OSError as error:
            raise BadSettings(
                f"Cannot listen on {address} port {listen.port} ({error.strerror})."
            ) from None


async def show(runner: Runner, tls: ssl.SSLContext | None) -> None:
    """Show `tls` to whoever connects from now on."""
    for site in runner.sites:
        if isinstance(site, ProxiedSite):
            site.show(tls)
        else:
            await _take_over(runner, site, tls)


def _site(
    runner: Runner,
    address: str,
    listen: Listen,
    tls: ssl.SSLContext | None,
    *,
    clock: Clock,
    shared: bool,
) -> web.BaseSite:
    if not listen.proxied_by:
        return web.TCPSite(runner, address, listen.port, ssl_context=tls, reuse_port=shared)
    proxies = [ip_network(one, strict=False) for one in listen.proxied_by]
    return ProxiedSite(
        runner, address, listen.port, tls, proxies=proxies, clock=clock, shared=shared
    )


async def _take_over(runner: Runner, site: web.BaseSite, tls: ssl.SSLContext | None) -> None:
    """Go on with a site's own sockets, which stay open while it lets go of them."""
    loop, server = asyncio.get_running_loop(), site._server  # noqa: SLF001 - said in no other way
    for one in getattr(server, "sockets", ()):
        again = socket.fromfd(one.fileno(), one.family, one.type)
        await web.SockSite(runner, again, ssl_context=tls).start()
        loop.remove_reader(one.fileno())
    # Who was accepted a moment ago is on the way to a connection, and would be cut off without a server.
    begun = loop.create_future()
    loop.call_soon(begun.set_result, None)
    await begun
    await site.stop()
