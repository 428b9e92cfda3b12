"""The HTTP core: strict about what it reads, whole about what it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.client.http11 import (
    LARGEST_BODY,
    LARGEST_HEAD,
    Answer,
    AnswerReader,
    BrokenAnswerError,
    Request,
    write_request,
)


def read(received: bytes, *, method: str = "GET", step: int = 0) -> Answer:
    """Feed `received`, in pieces of `step` bytes if given, then the end of the stream."""
    reader = AnswerReader(method)
    for start in range(0, len(received), step or len(received)):
        answer = reader.feed(received[start : start + (step or len(received))])
        if answer is not None:
            return answer
    answer = reader.feed(b"")
    assert answer is not None
    return answer


def test_a_request_is_written_with_host_length_and_close() -> None:
    """The bytes are what RFC 9112 wants, and the connection closes afterwards."""
    request = Request("POST", "/api", {"Accept": "application/json"}, b"{}")
    assert write_request(request, "broker.example.org:8200") == (
        b"POST /api HTTP/1.1\r\n"
        b"Host: broker.example.org:8200\r\n"
        b"Accept: application/json\r\n"
        b"Content-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a b", {}),
        Request("GET", "/", {"X": "a\r\nY: b"}),
        Request("GET", "/", {"X": "\N{SNOWMAN}"}),
    ],
)
def test_a_request_cannot_smuggle_a_header(request_: Request) -> None:
    """Control characters, other alphabets and spaces in the path are refused."""
    with pytest.raises(ValueError, match="printable ASCII"):
        write_request(request_, "h")


@pytest.mark.parametrize("step", [0, 1, 3, 7])
def test_an_answer_reads_the_same_however_it_is_cut(step: int) -> None:
    """Content-Length, chunks and interim answers all work piece by piece."""
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello"
    assert read(plain, step=step) == Answer(
        200, {"content-length": "5", "x-a": "1, 2"}, b"hello", may_follow=True
    )
    chunked = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 \r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\nA\r\n 123456789\r\n0\r\nTrailer: t\r\n\r\n"
    )
    assert read(chunked, step=step).body == b"hello 123456789"


def test_an_answer_without_a_body_ends_with_its_head() -> None:
    """204 and 304, and whatever answers HEAD, have no body (RFC 9110 section 6.4.1)."""
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n").body == b""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert read(head, method="HEAD").body == b""


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not begin like an HTTP answer"),
        (b"HTTP/2 200\r\n\r\n", "does not begin like an HTTP answer"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "closed before"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "does not state its length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "does not state its length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "twice"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "not safe",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not safe"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "closed before"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "more bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "without a size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "another size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", "1 MiB"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", "1 MiB"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * LARGEST_HEAD, "head is too large"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(received: bytes, why: str) -> None:
    """Each broken answer is named by what is wrong with it."""
    with pytest.raises(BrokenAnswerError, match=why):
        read(received)


def test_the_largest_body_still_passes() -> None:
    """The limit is inclusive."""
    body = b"x" * LARGEST_BODY
    received = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    assert read(received, step=65536).body == body


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_make_the_reader_fail_in_another_way(received: bytes, step: int) -> None:
    """Whatever comes, it is an answer or a `BrokenAnswerError`."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for stream in (received, start + received):
        try:
            read(stream, step=step if stream else 0) if stream else None
        except BrokenAnswerError:
            continue


@pytest.mark.parametrize(
    ("answer", "may"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n", False),
    ],
)
def test_an_answer_says_whether_another_request_may_follow(answer: bytes, may: bool) -> None:
    """Only one of HTTP/1.1 that does not say that the connection closes."""
    assert read(answer).may_follow is may


def test_a_connection_is_to_be_closed_unless_it_is_to_be_kept() -> None:
    """By the request's own word."""
    request = Request("GET", "/", {})
    assert b"Connection: close\r\n" in write_request(request, "h")
    assert b"onnection" not in write_request(request, "h", keep=True)
