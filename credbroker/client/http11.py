"""HTTP/1.1 as bytes in and bytes out, without a socket (RFC 9112).

One request and its one answer; whether another may follow on the connection, the answer says. The
reader is strict: what two readers could understand differently is an error, and so is anything too
large.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, Generator, Mapping, Optional, TypeVar

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 1024 * 1024

T = TypeVar("T")
_Reading = Generator[None, None, T]

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7E\x80-\xFF]*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7E\x80-\xFF]*?)[ \t]*\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7E\x80-\xFF]*)?\Z")
_LENGTH = re.compile(r"[0-9]{1,10}\Z")
_UNSAFE = re.compile(r"[^\x20-\x7E]")


class BrokenAnswerError(Exception):
    """What came back is not one complete HTTP/1.1 answer; says why, without quoting it."""


@dataclass(frozen=True)
class Request:
    """One request: `target` is the path, `headers` go out besides Host, Length and Connection."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """One answer; the names of its headers are in lower case.

    If `may_follow`, another request may go out on the same connection.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    may_follow: bool = False


def write_request(request: Request, host: str, *, keep: bool = False) -> bytes:
    """Return the request as it goes over the wire to `host` (with its port, if not the usual one).

    Unless `keep`, it asks for the connection to be closed afterwards.

    Raises:
        ValueError: A part holds a control or non-ASCII character, which could smuggle a header.
    """
    fields = {
        "Host": host,
        **request.headers,
        "Content-Length": str(len(request.body)),
        **({} if keep else {"Connection": "close"}),
    }
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if any(_UNSAFE.search(line) for line in lines) or " " in request.target:
        # Which part it was is not said: it may be the one that carries a secret.
        message = "A request may hold printable ASCII only."
        raise ValueError(message)
    return "\r\n".join([*lines, "", ""]).encode("ascii") + request.body


class AnswerReader:
    """Reads one answer from the pieces it is fed, however they are cut."""

    def __init__(self, method: str = "GET") -> None:
        """Expect the answer to a request of this `method`; one to HEAD has no body."""
        self._unread = bytearray()
        self._closed = False
        self._head_left = LARGEST_HEAD
        self._reading = self._answer(method)
        next(self._reading)

    def feed(self, received: bytes) -> Optional[Answer]:
        """Take in what was received, empty for the end of the stream.

        Returns the answer once it is complete. Raises `BrokenAnswerError` as soon as it cannot be.
        """
        self._unread += received
        self._closed = not received
        try:
            next(self._reading)
        except StopIteration as complete:
            answer: Answer = complete.value
            if self._unread:
                raise BrokenAnswerError("more bytes followed the answer") from None
            return answer
        return None

    def _answer(self, method: str) -> _Reading[Answer]:
        yield  # nothing is there yet: the constructor only starts the reading
        minor, status, headers = yield from self._head()
        while 100 <= status < 200:  # interim answers come before the real one (RFC 9110 15.2)
            if status == 101:
                raise BrokenAnswerError("it switches to another protocol")
            minor, status, headers = yield from self._head()
        # Who speaks 1.0 would have to say that it stays, and nobody here does (RFC 9112 9.3).
        may_follow = minor == 1 and "close" not in headers.get("connection", "").lower()
        if method == "HEAD" or status in {204, 304}:
            return Answer(status, headers, b"", may_follow)
        body = yield from self._body(headers)
        return Answer(status, headers, body, may_follow)

    def _head(self) -> _Reading[tuple[int, int, Dict[str, str]]]:
        line = yield from self._line()
        match = _STATUS_LINE.match(line)
        if match is None:
            raise BrokenAnswerError("it does not begin like an HTTP answer")
        headers = yield from self._fields()
        return int(match.group(1)), int(match.group(2)), headers

    def _fields(self) -> _Reading[Dict[str, str]]:
        headers: Dict[str, str] = {}
        while True:
            line = yield from self._line()
            if not line:
                return headers
            match = _FIELD.match(line)
            if match is None:
                raise BrokenAnswerError("it has a header line that cannot be read")
            name, value = (part.decode("latin-1") for part in match.groups())
            name = name.lower()
            if name in headers and name in {"content-length", "transfer-encoding"}:
                raise BrokenAnswerError("it states its length twice")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value

    def _body(self, headers: Mapping[str, str]) -> _Reading[bytes]:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            # Both together is how answers are smuggled past a proxy (RFC 9112 section 6.1).
            if length is not None or coding.lower() != "chunked":
                raise BrokenAnswerError("it states its length in a way that is not safe to read")
            return (yield from self._chunks())
        if length is None or not _LENGTH.match(length):
            raise BrokenAnswerError("it does not state its length")
        return (yield from self._exactly(_limited(int(length))))

    def _chunks(self) -> _Reading[bytes]:
        body = bytearray()
        while True:
            line = yield from self._line()
            match = _CHUNK_SIZE.match(line)
            if match is None:
                raise BrokenAnswerError("it has a chunk without a size")
            size = int(match.group(1), 16)
            if size == 0:
                yield from self._fields()  # trailers say nothing that is needed here
                return bytes(body)
            _limited(len(body) + size)
            body += yield from self._exactly(size)
            if (yield from self._exactly(2)) != b"\r\n":
                raise BrokenAnswerError("it has a chunk of another size than it says")

    def _line(self) -> _Reading[bytes]:
        while True:
            end = self._unread.find(b"\r\n")
            self._check_head(len(self._unread) if end < 0 else end)
            if end >= 0:
                line = bytes(self._unread[:end])
                del self._unread[: end + 2]
                self._head_left -= end + 2
                return line
            yield from self._more()

    def _check_head(self, size: int) -> None:
        if size > self._head_left:
            raise BrokenAnswerError("its head is too large")

    def _exactly(self, size: int) -> _Reading[bytes]:
        while len(self._unread) < size:
            yield from self._more()
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken

    def _more(self) -> _Reading[None]:
        if self._closed:
            raise BrokenAnswerError("the connection was closed before it was complete")
        yield


def _limited(size: int) -> int:
    if size > LARGEST_BODY:
        raise BrokenAnswerError("it is larger than 1 MiB")
    return size
