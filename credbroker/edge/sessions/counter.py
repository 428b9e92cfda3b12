"""The local socket at which people speak to the agent of their host.

Everybody may connect; the kernel says who it is (SO_PEERCRED), at the moment of connecting. A person
who sends too much, too slowly, or on too many connections at once, keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from pathlib import Path

from credbroker.client.local import peer_uid
from credbroker.domain.errors import BrokerFault, Busy, CredbrokerError, LocalFileUnfit, Malformed
from credbroker.edge.sessions.source import Say
from credbroker.wire.problem import problem_of
from credbroker.wire.sessions import LARGEST_LINE_BYTES, AgentAnswer, AskAgent

CONNECTIONS_OF_ONE = 4
CONNECTIONS = 256
LINE_SECONDS = 5.0
ANSWER_SECONDS = 20.0

_BACKLOG = 128

Answer = Callable[[int, AskAgent], Awaitable[AgentAnswer]]
"""Deals with what the person with this uid asks; `Clerk.answer` is the real one."""


class Counter:
    """Listens, and brings each request and who makes it to whoever answers."""

    def __init__(self, path: Path, answer: Answer, say: Say) -> None:
        """Listen at `path`, whose folder is this program's own."""
        self._path = path
        self._answer = answer
        self._say = say
        self._of: Tally[int] = Tally()
        self.served = 0
        """How many connections are over."""

    async def run(self, bound: socket.socket) -> None:
        """Answer for ever whoever connects to what `bound` returned."""
        server = await asyncio.start_unix_server(self._serve, sock=bound, limit=LARGEST_LINE_BYTES)
        async with server:
            try:
                await server.serve_forever()
            finally:
                self._path.unlink(missing_ok=True)

    def bound(self) -> socket.socket:
        """Return the socket, to which people can connect from here on.

        Raises:
            LocalFileUnfit: It cannot be made there.
        """
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(self._path.lstat().st_mode):
                    self._path.unlink()  # an agent before this one was killed
            bound.bind(str(self._path))
            self._path.chmod(0o666)
            bound.listen(_BACKLOG)
        except OSError as failure:
            bound.close()
            raise LocalFileUnfit(
                f"The socket {self._path} cannot be made: {failure.strerror}."
            ) from None
        return bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        self._of[uid] += 1
        try:
            answer = await self._answered(uid, reader)
            async with asyncio.timeout(LINE_SECONDS):
                writer.write(answer.write() + b"\n")
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # who asked is gone, or this agent goes
        finally:
            self._of[uid] -= 1
            if not self._of[uid]:
                del self._of[uid]
            writer.transport.abort()  # what nobody reads would be kept for ever
            self.served += 1

    async def _answered(self, uid: int, reader: asyncio.StreamReader) -> AgentAnswer:
        try:
            self._check_room(uid)
            asked = AskAgent.read(await _line(reader))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer(uid, asked)
        except CredbrokerError as error:
            return _problem(error)
        except TimeoutError:
            return _problem(Busy("The broker did not answer in time."))
        except Exception as error:  # noqa: BLE001 - one person's request must not end everybody's agent
            self._say("request failed", uid=uid, kind=type(error).__name__)
            return _problem(BrokerFault("Something unforeseen went wrong in this host's agent."))

    def _check_room(self, uid: int) -> None:
        if self._of[uid] > CONNECTIONS_OF_ONE or self._of.total() > CONNECTIONS:
            raise Busy("Too many ask this host's agent at once.")


def _problem(error: CredbrokerError) -> AgentAnswer:
    return AgentAnswer(problem=problem_of(error, error.request_id))


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(LINE_SECONDS):
            return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        raise Malformed("The agent expects one line, soon, and not a long one.") from None
