"""One request over one fresh, blocking connection, with TLS 1.2 or later.

Redirects are not followed and no proxy is taken from the environment: a request goes to the
address it names or nowhere. Every step counts against one total time-out; only looking up the name
keeps to the resolver's own. Whatever fails becomes `BrokerUnreachable`, in words.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, Optional, Protocol, Union

from credbroker.client.address import Address, is_loopback
from credbroker.client.http11 import Answer, AnswerReader, Request, write_request
from credbroker.client.reaching import (
    CONNECT_SECONDS,
    RECEIVED_AT_ONCE,
    TOTAL_SECONDS,
    in_words,
    trust,
)

if TYPE_CHECKING:
    import datetime
    import ssl


class BlockingClock(Protocol):
    """Time for programs without an event loop."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, aware, in UTC."""

    def elapsed(self) -> float:
        """Return seconds since boot; counts time asleep, never goes back."""

    def block(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True)
class Door:
    """The way to one broker.

    `ca_file`, or else the PEM text `ca_pem`, replaces the system's certificate authorities; those in
    `ca_folder` are trusted as well. The server's certificate must be for `certificate_name`, or else
    for the host of the address.
    """

    address: Address
    clock: BlockingClock
    ca_file: Optional[str] = None
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    ca_pem: Optional[str] = None
    ca_folder: Optional[str] = None
    certificate_name: Optional[str] = None

    def send(self, request: Request) -> Answer:
        """Send `request` once and return its answer, whatever its status.

        Raises:
            BrokerUnreachable: No complete answer came; the sentence names the address and why.
            LocalFileUnfit: The certificate authorities cannot be used.
        """
        deadline = self.clock.elapsed() + self.total_seconds
        tls = trust(self.ca_file, self.ca_pem, self.ca_folder) if self.address.is_tls else None
        with in_words(self.address), self._connection(tls, deadline) as connection:
            connection.settimeout(self._left(deadline))
            connection.sendall(write_request(request, self.address.authority))
            return self._receive(connection, request.method, deadline)

    def _receive(self, connection: socket.socket, method: str, deadline: float) -> Answer:
        reader = AnswerReader(method)
        answer = None
        while answer is None:
            connection.settimeout(self._left(deadline))
            answer = reader.feed(connection.recv(RECEIVED_AT_ONCE))
        return answer

    @contextlib.contextmanager
    def _connection(
        self, tls: Optional[ssl.SSLContext], deadline: float
    ) -> Iterator[socket.socket]:
        with contextlib.ExitStack() as closing:
            connection = closing.enter_context(self._connect(deadline))
            if tls is not None:
                connection = closing.enter_context(
                    tls.wrap_socket(
                        connection,
                        server_hostname=_as_bytes(self.certificate_name or self.address.host),
                        do_handshake_on_connect=False,
                    )
                )
                connection.settimeout(self._left(deadline))
                connection.do_handshake()
            yield connection

    def _connect(self, deadline: float) -> socket.socket:
        """Try each address of the host in turn; the last failure counts."""
        failure: OSError = OSError("its name has no address")
        host = _as_bytes(self.address.host)
        places = socket.getaddrinfo(host, self.address.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, place in places:
            if not self.address.is_tls and not is_loopback(str(place[0])):
                failure = OSError("plain http would leave this machine")
                continue
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(min(self.connect_seconds, self._left(deadline)))
                connection.connect(place)
                return connection
            except OSError as refused:
                connection.close()
                failure = refused
        raise failure

    def _left(self, deadline: float) -> float:
        left = deadline - self.clock.elapsed()
        if left <= 0:
            raise socket.timeout  # noqa: UP041 - not the same before Python 3.10
        return left


def _as_bytes(host: str) -> Union[str, bytes]:
    """Return a host as it is looked up; for text Python would load the rules of foreign names."""
    return host.encode() if host.isascii() else host
