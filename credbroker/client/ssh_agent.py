"""The person's ssh-agent, asked over its socket: which keys it has, and to sign with one of them.

The protocol is the one of OpenSSH's agent (draft-ietf-sshm-ssh-agent). Keys never leave the agent. RSA
keys sign as the agent does unasked, by SHA-1, since that is what HTVault's servers check.
"""

from __future__ import annotations

import base64
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, List, Optional

from credbroker.domain.errors import LocalFileUnfit, NotAllowed

if TYPE_CHECKING:
    from typing import Mapping

SOCKET_VARIABLE = "SSH_AUTH_SOCK"
LIST_SECONDS, SIGN_SECONDS = 10.0, 60.0
"""For how long an agent may say nothing; some ask the person before they sign."""

_FAILURE, _LIST, _LISTED, _SIGN, _SIGNED = 5, 11, 12, 13, 14
_LARGEST_BYTES = 256 * 1024
# What an agent signs says nothing of what it is for: only what can be nothing else is handed to it.
_NONCE = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}\Z")


@dataclass(frozen=True)
class AgentKey:
    """One key of the agent; `number` counts from 1, `blob` is its public half."""

    number: int
    blob: bytes

    @property
    def name(self) -> str:
        """What it is called to the server."""
        return f"key{self.number}"

    @property
    def line(self) -> str:
        """The public half as authorized_keys has it."""
        kind = next(_strings(self.blob)).decode("ascii", "replace")
        return f"{kind} {base64.b64encode(self.blob).decode()} {self.name}"


@dataclass(frozen=True)
class SshAgent:
    """The agent that listens at `path`."""

    path: str

    def list_keys(self) -> List[AgentKey]:
        """Return its keys; raise `LocalFileUnfit` if it does not answer as an agent does."""
        listed = self._ask(bytes([_LIST]), LIST_SECONDS)
        if listed[:1] != bytes([_LISTED]):
            raise _unfit()
        parts = list(_strings(listed[5:]))  # behind their number: each key, then its comment
        return [AgentKey(number, blob) for number, blob in enumerate(parts[::2], start=1)]

    def sign(self, key: AgentKey, nonce: str) -> bytes:
        """Return the inner signature of `nonce`, without the leading name of its algorithm.

        Raises:
            LocalFileUnfit: It does not answer as an agent does.
            NotAllowed: It does not sign with this key; or the nonce could be more than one: a
                request of another protocol.
        """
        if not _NONCE.match(nonce):
            raise NotAllowed("The server wants something signed that is no plain nonce.")
        asked = bytes([_SIGN]) + _string(key.blob) + _string(nonce.encode()) + struct.pack(">I", 0)
        answer = self._ask(asked, SIGN_SECONDS)
        if answer[:1] == bytes([_FAILURE]):
            raise NotAllowed(f"The ssh-agent does not sign with its {key.name}.")
        if answer[:1] != bytes([_SIGNED]):
            raise _unfit()
        signature = next(_strings(answer[1:]), b"")
        parts = list(_strings(signature))
        if len(parts) < 2:
            raise _unfit()
        return parts[1]

    def _ask(self, asked: bytes, seconds: float) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(seconds)
                connection.connect(self.path)
                connection.sendall(_string(asked))
                (size,) = struct.unpack(">I", _exactly(connection, 4))
                return _exactly(connection, min(size, _LARGEST_BYTES))
        except OSError:
            raise _unfit() from None


def agent_of(environ: Mapping[str, str]) -> Optional[SshAgent]:
    """Return the agent that the environment names; None if it names none."""
    path = environ.get(SOCKET_VARIABLE)
    return SshAgent(path) if path else None


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _strings(content: bytes) -> Iterator[bytes]:
    """Walk the strings that stand one behind the other (RFC 4251 section 5)."""
    while content:
        size = int.from_bytes(content[:4], "big")
        if len(content) < 4 + size:
            raise _unfit()
        yield content[4 : 4 + size]
        content = content[4 + size :]


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        more = connection.recv(size - len(received))
        if not more:
            raise ConnectionResetError
        received += more
    return received


def _unfit() -> LocalFileUnfit:
    return LocalFileUnfit(
        f"The ssh-agent that {SOCKET_VARIABLE} names does not do its part.",
        "See its keys with: ssh-add -l",
    )
