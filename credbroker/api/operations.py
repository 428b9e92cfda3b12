"""What the native API offers, as a table: the router and the OpenAPI document are both made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path: its messages (dataclasses of `wire.native`) and who may call it.

    The caller `shows` a lease, or itself as a client of a community, or nothing in a header. Who
    accepts lines is answered with a `line` for each entry; without `gives` everybody is.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    status: int = 200
    takes: type[Any] | None = None
    gives: type[Any] | None = None
    shows: Literal["lease", "client", "nothing"] = "lease"
    line: type[Any] | None = None


class Answer(Protocol):
    """A message that answers a request; those of the rooms `wire.native` and `wire.deliveries` do."""

    def write(self) -> bytes:
        """Return it as JSON."""


def answer_with(message: Answer, status: int = 200) -> web.Response:
    """Return the response that carries a message."""
    return web.Response(status=status, body=message.write(), content_type="application/json")
