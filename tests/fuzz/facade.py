"""Requests to the broker's port, as bytes, with everybody logged in.

An input is a request with LF for line ends. `Content-Length` and `Connection` are added unless they
are there; `{name}` stands for one of `Crowd.words`. A first line `~ store` or `~ issuer` says what
does not answer meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web, web_fileresponse

from credbroker.api.answering import answering_problems
from credbroker.api.app import LARGEST_REQUEST_BYTES
from credbroker.api.connections import Runner
from credbroker.api.htvault_surface import Around, htvault_routes
from credbroker.api.outlook import Outlook
from credbroker.api.strangers import Strangers
from credbroker.domain.errors import IssuerUnreachable, StoreUnavailable
from credbroker.domain.limits import Allowance
from tests.fuzz.crowd import Crowd
from tests.fuzz.line import AtOnce, exchange
from tests.fuzz.watch import Finding, Heard, Watch
from tests.unit.broker.notices_world import choosing_of

if TYPE_CHECKING:
    from types import TracebackType

_LONGEST_HEADER_BYTES = 64 * 1024
# A lease may ask 500 times at once.
_MOST_RUNS = 400
_OPTIONS = Path(__file__).parent / "corpus" / "htgettokenopts.txt"
_FAULT = re.compile(rb"~ (store|issuer)\r?\n")
_LENGTH = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_CONNECTION = re.compile(rb"\nconnection[ \t]*:", re.IGNORECASE)


class Facade:
    """The broker's port. A crowd in which anything was written, or failed, is not asked again."""

    def __init__(self) -> None:
        """Begin without a crowd."""
        self.runs = 0
        self._heard = Heard()
        self._troubles: list[str] = []

    def __enter__(self) -> Facade:
        """Hear the log and have a loop of its own."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(AtOnce())
        self._loop.set_exception_handler(lambda _, about: self._troubles.append(str(about)))
        asyncio.set_event_loop(self._loop)
        self._before = structlog.get_config()
        structlog.configure(processors=[self._heard])
        logging.getLogger().addHandler(self._heard)
        setattr(web_fileresponse, "NOSENDFILE", True)  # noqa: B010 - it would want a socket
        self._renew()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _why: BaseException | None,
        _at: TracebackType | None,
    ) -> None:
        """Leave the log and the loops as they were."""
        logging.getLogger().removeHandler(self._heard)
        structlog.configure(**self._before)
        self._loop.close()
        asyncio.set_event_loop(None)

    def __call__(self, text: bytes) -> None:
        """Send one request; raise `Finding` if anything is not as it must be."""
        self.runs += 1
        try:
            self._loop.run_until_complete(self._ask(text))
        finally:
            is_marked = bool(_FAULT.match(text)) or not self._watch.is_as_before()
            if is_marked or self._asked >= _MOST_RUNS:
                self._renew()

    async def _ask(self, text: bytes) -> None:
        self._asked += 1
        self._heard.clear()
        world = self._crowd.world
        world.audit.lines.clear()
        fault = _FAULT.match(text)
        if fault is not None:
            text = text[fault.end() :]
            self._break(fault.group(1))
        request, is_whole = _request(self._crowd.written(text))
        answers, waited = await exchange(self._server, request, world.clock)
        self._mend()
        self._watch.check(request, answers, is_down=fault is not None)
        if self._troubles:
            raise Finding(self._troubles.pop())
        if is_whole and (waited or not answers):
            raise Finding(f"no answer to {request!r}")

    def _renew(self) -> None:
        self._asked = 0
        self._crowd = Crowd()
        self._loop.run_until_complete(self._crowd.gather())
        self._server = self._loop.run_until_complete(_serve(self._crowd))
        self._watch = Watch(self._crowd, self._heard)

    def _break(self, what: bytes) -> None:
        world = self._crowd.world
        if what == b"issuer":
            world.issuer.down = IssuerUnreachable("The issuer does not answer.")
        for store in (world.grants, world.leases, world.confirmed, world.ssh_keys, world.seen):
            if what == b"store":
                store.fail_next(StoreUnavailable("OpenBao/Vault does not answer."))

    def _mend(self) -> None:
        world = self._crowd.world
        world.issuer.down = None
        for store in (world.grants, world.leases, world.confirmed, world.ssh_keys, world.seen):
            store.mend()


async def _serve(crowd: Crowd) -> web.Server:
    """Return aiohttp's server of the whole façade."""
    world = crowd.world
    strangers = Strangers(Allowance(per_second=1e6, burst=1_000_000), world.clock)
    outlook = Outlook(crowd.replica.engine, world.clock, 0.0)
    choosing = choosing_of(world, crowd.replica)
    around = Around(
        strangers, world.clock, world.entropy, crowd.seal, _name, _OPTIONS, outlook, choosing
    )
    app = web.Application(
        middlewares=[answering_problems(world.entropy, world.audit)],
        client_max_size=LARGEST_REQUEST_BYTES,
    )
    app.add_routes(htvault_routes(crowd.replica.engine, crowd.htvault, around))
    runner = Runner(app, world.entropy, max_field_size=_LONGEST_HEADER_BYTES)
    await runner.setup()
    assert runner.server is not None
    return runner.server


async def _name(_address: str) -> str:
    return "ui.site.test"


def _request(text: bytes) -> tuple[bytes, bool]:
    """Return what goes over the line, and whether it is whole as far as its length goes."""
    head, _, body = text.partition(b"\n\n")
    head = head.rstrip(b"\r\n")
    added = b"" if _CONNECTION.search(head) else b"\nConnection: close"
    is_whole = _LENGTH.search(head) is None
    if is_whole:
        added += b"\nContent-Length: %d" % len(body)
    whole = (head + added).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return whole + b"\r\n\r\n" + body, is_whole
