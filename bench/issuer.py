"""A development issuer in a program of its own, told what to do over its standard input.

One JSON object a line each way. The first line in says how to serve; the first line out says where.
It ends when its input does. Secrets travel through these pipes alone.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import TYPE_CHECKING, Any

from credbroker.demo.issuer import (
    Client,
    DevIssuer,
    IssuerSettings,
    Lifetimes,
    Person,
    RefreshPolicy,
)
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

CLIENT_ID = "credbroker"
PEOPLE = tuple(Person(f"person-{number}", f"word-{number}") for number in range(8))
PERSON = PEOPLE[0]
SCOPES = ("openid", "offline_access", "storage.read:/", "storage.create:/")
ACCESS_SECONDS = 3600
_LONGEST_LINE = 1 << 22


class IssuerChild:
    """The parent's end: an issuer that runs, and what can be asked of it.

    Attributes:
        pid: Its process.
        url: Its issuer string.
        client_secret: Of the one client, `CLIENT_ID`.
    """

    def __init__(self, child: asyncio.subprocess.Process, client_secret: str) -> None:
        """Speak to a child that was just started; `start` is the way to one."""
        self._child = child
        self._lock = asyncio.Lock()
        self.pid = child.pid
        self.client_secret = client_secret
        self.url = ""

    @classmethod
    async def start(cls, certificate: tuple[Path, Path], port: int = 0) -> IssuerChild:
        """Start one that shows this certificate, on a free port or on the one given."""
        secret = SystemEntropy().token(32)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.issuer",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
            start_new_session=True,
        )  # fmt: skip
        issuer = cls(child, secret)
        files = [str(path) for path in certificate]
        try:
            told = await issuer.ask(certificate=files, client_secret=secret, port=port)
        except BaseException:
            child.kill()
            raise
        issuer.url = told["url"]
        return issuer

    async def ask(self, **asked: object) -> dict[str, Any]:
        """Say one thing and return the answer."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        async with self._lock:
            self._child.stdin.write(json.dumps(asked).encode() + b"\n")
            line = await self._child.stdout.readline()
        if not line:
            raise RuntimeError("The issuer ended; what it said is above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def refresh_tokens(self, count: int) -> list[str]:
        """Return the refresh tokens of as many new logins of `PERSON`."""
        answer = await self.ask(do="grants", count=count)
        return list(answer["refresh_tokens"])

    async def approve(self, user_code: str, person: str) -> None:
        """Let one of `PEOPLE` confirm a device login."""
        await self.ask(do="approve", user_code=user_code, person=person)

    async def refreshes(self) -> int:
        """Return how many refreshes were acted on so far."""
        return int((await self.ask(do="count"))["refreshes"])

    async def stop(self) -> None:
        """End it."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        await self._child.wait()


async def _serve() -> None:
    lines = await _lines()
    told = json.loads(await anext(lines))
    issuer = _issuer(told["certificate"], told["client_secret"])
    await issuer.start(port=told["port"])
    _answer(url=issuer.url)
    async for line in lines:
        _answer(**_done(issuer, json.loads(line)))
    await issuer.stop()


def _done(issuer: DevIssuer, asked: Mapping[str, Any]) -> dict[str, object]:
    if asked["do"] == "grants":
        grants = range(asked["count"])
        return {
            "refresh_tokens": [issuer.grant_for(PERSON.name, CLIENT_ID, SCOPES) for _ in grants]
        }
    if asked["do"] == "approve":
        issuer.approve(asked["user_code"], asked["person"])
        return {}
    return {"refreshes": issuer.count_refreshes()}


def _issuer(certificate: Sequence[str], client_secret: str) -> DevIssuer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    settings = IssuerSettings(
        clients=(Client(CLIENT_ID, client_secret),),
        people=PEOPLE,
        lifetimes=Lifetimes(access=ACCESS_SECONDS),
        refresh_policy=RefreshPolicy.ROTATE_REVOKE_FAMILY,
        # The cheaper signature: an issuer that is quick leaves the broker nothing to hide behind.
        algorithm="ES256",
    )
    return DevIssuer(settings, SystemClock(), SystemEntropy(), ssl_context=context)


async def _lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return aiter(reader)


def _answer(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
