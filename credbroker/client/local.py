"""The agent of this host, asked over its local socket: one line there, one line back.

Only an agent that runs as root, or as who asks, is believed: the kernel says who listens.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

from credbroker.domain.errors import Busy, LocalFileUnfit
from credbroker.wire.problem import error_of
from credbroker.wire.sessions import LARGEST_LINE_BYTES, AgentAnswer, AskAgent

ANSWER_SECONDS = 30.0

_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid: unix(7)
_LARGEST_ANSWER_BYTES = 16 * LARGEST_LINE_BYTES
_RECEIVED_AT_ONCE = 64 * 1024


@dataclass(frozen=True)
class LocalAgent:
    """The agent that listens at `path`."""

    path: str

    def ask(self, asked: AskAgent) -> AgentAnswer:
        """Return what the agent answers.

        Raises:
            LocalFileUnfit: No agent listens there, or one of somebody else's.
            Busy: It did not answer.
            CredbrokerError: What the agent, or the broker behind it, said.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                self._connect(connection)
                connection.sendall(asked.write() + b"\n")
                answer = AgentAnswer.read(_received(connection))
        except OSError:
            raise Busy("The agent of this host does not answer.") from None
        if answer.problem is not None:
            raise error_of(answer.problem)
        return answer

    def _connect(self, connection: socket.socket) -> None:
        try:
            connection.connect(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise LocalFileUnfit(
                f"No agent keeps tokens fresh on this host: nobody listens at {self.path}.",
                "Ask its operator for: credbroker agent --sessions",
            ) from None
        if peer_uid(connection) not in {0, os.geteuid()}:
            raise LocalFileUnfit(
                f"Who listens at {self.path} is not this host's agent: it belongs to somebody else."
            )


def peer_uid(connection: socket.socket) -> int:
    """Return the uid of who is at the other end of a local socket, by the kernel's word."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(said)[1]
    return uid


def _received(connection: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < _LARGEST_ANSWER_BYTES:
        more = connection.recv(_RECEIVED_AT_ONCE)
        if not more:
            raise ConnectionResetError
        answer += more
    return answer
