"""A door for outgoing HTTP behind which a test answers. Follows `ports.HttpDoor`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from credbroker.ports import BeforeFirstByte, HttpAnswer
from tests.fakes.clock import turns

Reply = HttpAnswer | Exception


@dataclass(frozen=True)
class Sent:
    """One request as it went out."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    most_bytes: int = 1 << 20


def answer(status: int, fields: object = None, **headers: str) -> HttpAnswer:
    """Return an answer with a JSON body; underscores in header names stand for dashes."""
    lowered = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpAnswer(status, lowered, b"" if fields is None else json.dumps(fields).encode())


class FakeDoor:
    """Keeps what was sent; answers from a queue first, then as `otherwise` says."""

    def __init__(self, otherwise: Callable[[Sent], Reply]) -> None:
        """Answer by `otherwise` whatever no queued reply is for."""
        self._otherwise = otherwise
        self._queue: list[tuple[str, Reply]] = []
        self.sent: list[Sent] = []

    def reply_next(self, *replies: Reply, to: str = "") -> None:
        """Give these replies, one each, to the next requests whose URL holds `to`."""
        self._queue += [(to, reply) for reply in replies]

    def urls(self) -> list[str]:
        """Return the URLs asked so far."""
        return [one.url for one in self.sent]

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        most_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Fetch; see `ports.HttpDoor.get`."""
        return await self._replied(Sent("GET", url, headers or {}, None, most_bytes))

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> HttpAnswer:
        """Send; see `ports.HttpDoor.post`."""
        if before_first_byte is not None:
            await before_first_byte()
        return await self._replied(Sent("POST", url, headers, body))

    async def pass_on(
        self,
        method: str,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        seconds: float,
    ) -> HttpAnswer:
        """Send on; see `ports.HttpDoor.pass_on`."""
        return await self._replied(Sent(method, url, headers, body or None))

    async def _replied(self, sent: Sent) -> HttpAnswer:
        self.sent.append(sent)
        await turns(1)
        reply = next((queued for queued in self._queue if queued[0] in sent.url), None)
        if reply is None:
            found = self._otherwise(sent)
        else:
            self._queue.remove(reply)
            found = reply[1]
        if isinstance(found, Exception):
            raise found
        return found
