"""The one way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

BeforeFirstByte = Callable[[], Awaitable[None]]
"""Run once the connection stands and before anything is sent; an error from it stops the send."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: status, headers with lower-case names, and the body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class NotSentError(Exception):
    """No connection came about or it did not last, and the other side has seen no byte."""


class NoAnswerError(Exception):
    """The request went out, wholly or in part, and no complete answer came back."""


class HttpDoor(Protocol):
    """The one door for outgoing HTTP: no redirects followed, no proxy taken from the environment.

    A body of more than 1 MiB is no answer, unless the caller of `get` expects more.
    """

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        most_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Fetch `url` within `seconds`. Raises `NotSentError` or `NoAnswerError`."""

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> HttpAnswer:
        """Send `body` once, never again by itself. Raises `NotSentError` or `NoAnswerError`.

        With `before_first_byte` the request goes out on a connection opened for it.
        """

    async def pass_on(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
    ) -> HttpAnswer:
        """Send on what somebody else asks; `url` goes out as it is written, byte for byte.

        An empty body is none. Raises `NotSentError` or `NoAnswerError`.
        """
