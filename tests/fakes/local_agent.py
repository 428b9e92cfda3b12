"""The agent of a host behind a real local socket, in a thread of its own, with the real clerk."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from credbroker.domain.errors import CredbrokerError
from credbroker.edge.sessions.accounts import Accounts
from credbroker.edge.sessions.clerk import Clerk
from credbroker.edge.sessions.host import Host
from credbroker.edge.sessions.source import SessionOrders
from credbroker.edge.sessions.standing import Standing
from credbroker.edge.sessions.written import Written
from credbroker.host.entropy import SystemEntropy
from credbroker.wire.native import Problem
from credbroker.wire.sessions import AgentAnswer, AskAgent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credbroker.ports import Clock
    from tests.fakes.deliveries import FakeDeliveries


class FakeAgent:
    """Everybody who connects to `path` is the person with this `uid`; `asked` holds the deeds."""

    def __init__(self, path: Path, broker: FakeDeliveries, clock: Clock, uid: int) -> None:
        """Join the real parts to a fake broker."""
        self.path = path
        self.uid = uid
        self.asked: list[AskAgent] = []
        self._broker = broker
        entropy = SystemEntropy()
        host = Host(broker.send, broker.send, clock, entropy, lambda: None)
        self._orders = SessionOrders(Written(path.parent, entropy), clock, lambda *_, **__: None)
        standing = Standing(host, self._orders, clock, entropy, lambda *_, **__: None)
        accounts = Accounts(clock, lambda _: "ada")
        self._clerk = Clerk(host, self._orders, standing, accounts, folder=Path("/run/user"))

    def answer(self, line: bytes) -> AgentAnswer:
        """Answer one line."""
        asked = AskAgent.read(line)
        self.asked.append(asked)
        self._orders.stand(self._broker.standing.values())
        try:
            return asyncio.run(self._clerk.answer(self.uid, asked))
        except CredbrokerError as error:
            return AgentAnswer(Problem(error.code, error.sentence, error.remedy))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block lasts."""
        agent = self

        class Speaker(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(agent.answer(self.rfile.readline()).write() + b"\n")

        with socketserver.UnixStreamServer(str(self.path), Speaker) as server:
            thread = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
            )
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()
