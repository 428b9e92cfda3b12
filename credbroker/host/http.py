"""The one door for outgoing HTTP.

Redirects are not followed (a 3xx is an answer like any other, for the caller to refuse), proxies
are not taken from the environment, bodies end at 1 MiB unless more is expected, everything has a
time limit, and nothing is sent twice: only GET and DELETE may be repeated, by the library, after a
dropped keep-alive connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from credbroker import __version__
from credbroker.ports import BeforeFirstByte, HttpAnswer, NoAnswerError, NotSentError

LARGEST_BODY_BYTES = 1 << 20
_CONNECT_SECONDS = 10.0
# A time limit that is noticed so late was slept through; what came meanwhile is read in so long.
_STOPPED_SECONDS, _READ_SECONDS = 0.5, 1.0
_USER_AGENT = f"credbroker/{__version__}"


class OutgoingHttp:
    """Asks other servers over HTTP. Follows `ports.HttpDoor`; use as an async context."""

    def __init__(self, ca_file: str | None = None) -> None:
        """Trust the system's authorities, or only those in `ca_file` (PEM)."""
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._kept: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> OutgoingHttp:
        self._kept = self._session(Connector(self._tls))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kept is not None:
            await self._kept.close()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        most_bytes: int = LARGEST_BODY_BYTES,
    ) -> HttpAnswer:
        """Fetch `url` within `seconds`; see `ports.HttpDoor.get`."""
        request = _Request("GET", url, headers or {}, most_bytes=most_bytes)
        return await self._on_kept(request, seconds)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> HttpAnswer:
        """Send `body` once; see `ports.HttpDoor.post`."""
        request = _Request("POST", url, headers, body)
        if before_first_byte is None:
            return await self._on_kept(request, seconds)
        return await self._on_fresh(request, before_first_byte, seconds)

    async def pass_on(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
    ) -> HttpAnswer:
        """Send on what somebody else asks; see `ports.HttpDoor.pass_on`."""
        request = _Request(method, URL(url, encoded=True), headers, body or None)
        return await self._on_kept(request, seconds)

    async def _on_kept(self, request: _Request, seconds: float) -> HttpAnswer:
        assert self._kept is not None, "the door is used as an async context"
        try:
            # Half the time at the most for connecting: what was provably not sent is worth knowing.
            connect = min(_CONNECT_SECONDS, seconds / 2)
            limits = aiohttp.ClientTimeout(total=None, connect=connect)
            async with asyncio.timeout(seconds):
                return await _exchange(self._kept, request, limits)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(_why(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(type(error).__name__) from error

    async def _on_fresh(
        self, request: _Request, before: BeforeFirstByte, seconds: float
    ) -> HttpAnswer:
        pause = _PausingConnector(self._tls, before, seconds)
        try:
            async with self._session(pause) as session, pause.within() as pause.deadline:
                limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
                return await _exchange(session, request, limits)
        except (aiohttp.ClientError, TimeoutError) as error:
            kind = NoAnswerError if pause.passed else NotSentError
            raise kind(type(error).__name__) from error

    def _session(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": _USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str | URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    most_bytes: int = LARGEST_BODY_BYTES


class _Open:
    """The connections that are open, whoever holds them."""

    def __init__(self) -> None:
        self._transports: set[asyncio.BaseTransport] = set()
        self._over = False

    def add(self, transport: asyncio.BaseTransport) -> None:
        """Know one more; one that was still being made when all were ended is ended as well."""
        self._transports.add(transport)
        if self._over:
            cast("asyncio.Transport", transport).abort()

    def discard(self, transport: asyncio.BaseTransport) -> None:
        """Forget one that is closed."""
        self._transports.discard(transport)

    def end(self) -> None:
        """End all at once, also those to come."""
        self._over = True
        for transport in list(self._transports):
            cast("asyncio.Transport", transport).abort()


class _Known(ResponseHandler):
    """A connection that stands among the `open` ones for as long as it is open."""

    def __init__(self, open_: _Open, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._open = open_
        self._made: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made = transport
        super().connection_made(transport)
        self._open.add(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._made is not None:
            self._open.discard(self._made)
        self._made = None
        super().connection_lost(exc)


class Connector(aiohttp.TCPConnector):
    """Knows every connection it made: the library forgets those whose request was given up."""

    def __init__(self, tls: ssl.SSLContext, limit: int = 100) -> None:
        """Connect by `tls`, at most `limit` at once; 0 sets none."""
        super().__init__(ssl=tls, limit=limit)
        self._open = _Open()
        # The library's own, which tells nobody; nor can what uvloop makes be remembered weakly.
        known: Callable[..., ResponseHandler] = _Known
        self._factory = partial(known, self._open, loop=self._loop)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all, also what still waits for its server to end TLS; nobody else would."""
        await super().close(abort_ssl=abort_ssl)
        self._open.end()
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, in which they close


class _PausingConnector(Connector):
    """One fresh connection that waits for `before` once it stands, then starts the time limit."""

    def __init__(self, tls: ssl.SSLContext, before: BeforeFirstByte, seconds: float) -> None:
        super().__init__(tls)
        self._before = before
        self._seconds = seconds
        self.deadline: asyncio.Timeout | None = None
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.passed = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        try:
            await self._before()
        except BaseException:
            connection.close()
            raise
        if connection.closed:  # nothing was sent; a try to would leave that open
            connection.close()
            raise aiohttp.ClientConnectionError
        self.passed = True
        loop = asyncio.get_running_loop()
        self._due_at = loop.time() + self._seconds
        self._timer = loop.call_at(self._due_at, self._due)
        return connection

    @contextlib.asynccontextmanager
    async def within(self) -> AsyncIterator[asyncio.Timeout]:
        """Limit the time from the first byte on."""
        try:
            async with asyncio.timeout(None) as deadline:
                yield deadline
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _due(self) -> None:
        """End the wait; a process that was stopped meanwhile first reads what has come."""
        assert self.deadline is not None
        now = asyncio.get_running_loop().time()
        stopped = now - self._due_at > _STOPPED_SECONDS
        self.deadline.reschedule(now + (_READ_SECONDS if stopped else 0.0))


async def _exchange(
    session: aiohttp.ClientSession, request: _Request, limits: aiohttp.ClientTimeout
) -> HttpAnswer:
    async with session.request(
        request.method,
        request.url,
        data=request.body,
        headers=request.headers,
        timeout=limits,
        allow_redirects=False,
    ) as answer:
        read = await _read_at_most(answer.content, request.most_bytes)
    lowered = {name.lower(): value for name, value in answer.headers.items()}
    return HttpAnswer(answer.status, lowered, read)


def _why(error: Exception) -> str:
    """Say in a few words why no connection came about."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror.lower()
    return "no connection came about"


async def _read_at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    read = bytearray()
    async for chunk in stream.iter_chunked(64 * 1024):
        read += chunk
        if len(read) > limit:
            raise aiohttp.ClientPayloadError("the answer is larger than allowed")
    return bytes(read)
