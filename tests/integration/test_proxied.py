"""Behind a balancer, a whole broker knows its callers by what the balancer says before TLS begins."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import TYPE_CHECKING

from credbroker.wire import native

if TYPE_CHECKING:
    from tests.integration.broker_world import BrokerWorld

BALANCER, CALLER = "127.0.0.2", "192.0.2.7"
HEADER = f"PROXY TCP4 {CALLER} 192.0.2.1 56225 8200\r\n".encode()


async def begin_login(world: BrokerWorld, port: int, come_from: str, header: bytes) -> bytes:
    """Begin a login over a connection from some address that starts with a header; return the answer."""
    body = json.dumps({"issuer": world.issuer_name}).encode()
    head = f"POST {native.LOGINS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    with socket.socket() as plain:
        plain.setblocking(False)
        plain.bind((come_from, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", port))
        await loop.sock_sendall(plain, header)
        tls = ssl.create_default_context(cafile=str(world.authority.ca_file))
        reader, writer = await asyncio.open_connection(
            sock=plain, ssl=tls, server_hostname="localhost"
        )
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said


async def test_the_trail_has_the_caller_and_not_the_balancer(
    broker_world: BrokerWorld, unused_tcp_port: int
) -> None:
    """Whoever comes straight is known by the connection, and the broker stops as it should."""
    certificate, key = broker_world._certificate
    served = await broker_world.serve(
        port=unused_tcp_port,
        listen={
            "port": unused_tcp_port,
            "tls": {"certificate_file": str(certificate), "key_file": str(key)},
            "proxied_by": [BALANCER],
        },
    )
    for come_from, header in ((BALANCER, HEADER), ("127.0.0.1", b"")):
        said = await begin_login(broker_world, unused_tcp_port, come_from, header)
        assert said.startswith(b"HTTP/1.1 201")
    begun = [one for one in broker_world.audit_lines() if one["event"] == "login_started"]
    assert [one["address"] for one in begun] == [CALLER, "127.0.0.1"]
    assert await served.terminate() == 0
