"""What the native API offers, as a table: the router and the OpenAPI document are both made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path: its messages (dataclasses of `wire.native`) and who may call it."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    status: int = 200
    takes: type[Any] | None = None
    gives: type[Any] | None = None
    needs_lease: bool = True
