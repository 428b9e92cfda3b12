"""An ssh-agent at a socket, with keys of a test; it speaks as OpenSSH's does."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.fakes.ssh_agent import string

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.fakes.ssh_agent import AgentKey

_LIST, _LISTED, _SIGN, _SIGNED, _FAILURE = 11, 12, 13, 14, 5


@contextmanager
def running_agent(
    folder: Path,
    keys: Sequence[AgentKey],
    garbage: bytes | None = None,
    mute: Sequence[AgentKey] = (),
) -> Iterator[dict[str, str]]:
    """Run an agent for a while; give what names it in an environment.

    Args:
        folder: Where its socket is.
        keys: Its keys, in order.
        garbage: What it says to everything, if it is no agent.
        mute: Those of its keys that it does not sign with.
    """
    path = str(folder / "agent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        thread = threading.Thread(
            target=_serve, args=(listening, keys, garbage, mute), name="ssh-agent"
        )
        thread.start()
        try:
            yield {"SSH_AUTH_SOCK": path}
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listening: socket.socket,
    keys: Sequence[AgentKey],
    garbage: bytes | None,
    mute: Sequence[AgentKey],
) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            (size,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
            asked = connection.recv(size, socket.MSG_WAITALL)
            connection.sendall(_answer(asked, keys, mute) if garbage is None else garbage)


def _answer(asked: bytes, keys: Sequence[AgentKey], mute: Sequence[AgentKey]) -> bytes:
    blobs = [base64.b64decode(one.line.split()[1]) for one in keys]
    if asked[0] == _LIST:
        listed = b"".join(string(blob) + string(b"a comment") for blob in blobs)
        return string(bytes([_LISTED]) + struct.pack(">I", len(blobs)) + listed)
    if asked[0] != _SIGN:
        return string(bytes([_FAILURE]))
    blob, rest = _string(asked[1:])
    signed, flags = _string(rest)
    assert flags == struct.pack(">I", 0)
    key = keys[blobs.index(blob)]
    if key in mute:
        return string(bytes([_FAILURE]))
    kind, inner = key.line.split()[0].encode(), key.sign(signed)
    return string(bytes([_SIGNED]) + string(string(kind) + string(inner)))


def _string(content: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack(">I", content[:4])
    return content[4 : 4 + size], content[4 + size :]
