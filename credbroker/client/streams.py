"""Requests over kept connections, for programs with an event loop, with TLS 1.2 or later.

Redirects are not followed and no proxy is taken from the environment: a request goes to the address
it names or nowhere. Connecting and the whole of it have a time-out each; looking up the name counts.
Whatever fails becomes `BrokerUnreachable`, in words. A request is sent once; only one that does no
harm twice is repeated, once, where a kept connection turns out to have been closed meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, AsyncIterator, Coroutine, List, Optional, TypeVar

from credbroker.client.address import Address, is_loopback
from credbroker.client.http11 import Answer, AnswerReader, Request, write_request
from credbroker.client.reaching import (
    CONNECT_SECONDS,
    RECEIVED_AT_ONCE,
    TOTAL_SECONDS,
    in_words,
    shared_trust,
    trust,
)
from credbroker.domain.errors import LocalFileUnfit

T = TypeVar("T")

MOST_KEPT = 8
# A second address of a name is tried beside the first one after this.
_NEXT_ADDRESS_SECONDS = 0.25


class _ClosedMeanwhileError(ConnectionError):
    """A kept connection was closed before any byte of the answer."""


@dataclass(eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False


@dataclass(eq=False)
class Door:
    """The way to one broker.

    `ca_file`, or else the PEM text `ca_pem`, replaces the system's certificate authorities; those in
    `ca_folder`, if it is named, count as well. Of the connections that are at rest `most_kept` stay open.
    `own` is what this side shows of itself: the files of a certificate, with its chain, and of its key.
    """

    address: Address
    ca_file: Optional[str] = None
    ca_pem: Optional[str] = None
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    most_kept: int = MOST_KEPT
    ca_folder: str | None = None
    own: tuple[Path, Path] | None = None
    _kept: List[_Connection] = field(default_factory=list)

    async def send(self, request: Request, *, harmless_twice: bool = False) -> Answer:
        """Send `request` and return its answer, whatever its status.

        Raises:
            BrokerUnreachable: No complete answer came; the sentence names the address and why.
            LocalFileUnfit: The certificate authorities cannot be used.
        """
        with in_words(self.address):
            return await _within(self.total_seconds, self._sent(request, harmless_twice))

    async def close(self) -> None:
        """Close the connections that are at rest."""
        while self._kept:
            writer = self._kept.pop().writer
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _sent(self, request: Request, harmless_twice: bool) -> Answer:
        try:
            return await self._sent_once(request)
        except _ClosedMeanwhileError:
            if not harmless_twice:
                raise
            return await self._sent_once(request, anew=True)

    async def _sent_once(self, request: Request, *, anew: bool = False) -> Answer:
        async with self._connection(anew=anew) as connection:
            wire = write_request(request, self.address.authority, keep=True)
            return await self._exchange(connection, wire, request.method)

    async def _exchange(self, connection: _Connection, wire: bytes, method: str) -> Answer:
        reader = AnswerReader(method)
        try:
            connection.writer.write(wire)
            await connection.writer.drain()
            received = await connection.reader.read(RECEIVED_AT_ONCE)
        except ConnectionError:
            if connection.used:
                raise _ClosedMeanwhileError("it was closed meanwhile") from None
            raise
        if connection.used and not received:
            raise _ClosedMeanwhileError("it was closed meanwhile")
        answer = reader.feed(received)
        while answer is None:
            answer = reader.feed(await connection.reader.read(RECEIVED_AT_ONCE))
        if answer.may_follow:
            self._keep(connection)
        return answer

    def _keep(self, connection: _Connection) -> None:
        if len(self._kept) < self.most_kept:
            connection.used = True
            self._kept.append(connection)

    @contextlib.asynccontextmanager
    async def _connection(self, *, anew: bool) -> AsyncIterator[_Connection]:
        """Lend a connection; it is closed at once unless it was kept."""
        connection = None if anew else self._rested()
        connection = connection or await self._connect()
        try:
            yield connection
        finally:
            if connection not in self._kept:
                connection.writer.transport.abort()

    def _rested(self) -> _Connection | None:
        while self._kept:
            connection = self._kept.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.transport.abort()
        return None

    async def _connect(self) -> _Connection:
        tls = self._tls() if self.address.is_tls else None
        connecting = asyncio.open_connection(
            self.address.host,
            self.address.port,
            ssl=tls,
            happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
        )
        reader, writer = await _within(self.connect_seconds, connecting)
        if tls is None and not is_loopback(str(writer.get_extra_info("peername")[0])):
            writer.transport.abort()
            raise OSError("plain http would leave this machine")
        return _Connection(reader, writer)

    def _tls(self) -> ssl.SSLContext:
        if self.own is None:
            return shared_trust(self.ca_file, self.ca_pem, self.ca_folder)
        tls = trust(self.ca_file, self.ca_pem, self.ca_folder)
        try:
            tls.load_cert_chain(*self.own)
        except OSError:  # an SSLError is one
            raise LocalFileUnfit(
                f"{self.own[0]} and {self.own[1]} are not a certificate and its key."
            ) from None
        return tls


async def _within(seconds: float, deed: Coroutine[Any, Any, T]) -> T:
    """Return what the deed returns; raise `TimeoutError` if that takes longer."""
    try:
        return await asyncio.wait_for(deed, seconds)
    except asyncio.TimeoutError:  # noqa: UP041 - not the same before Python 3.11
        raise TimeoutError from None
