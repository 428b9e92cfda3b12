"""Runs a program where port 8200 of this machine is its own, and hands that port to who started it.

Usage: python alone.py CHANNEL PROGRAM [ARGUMENT ...], in a network namespace of its own. CHANNEL is
the number of an open socket; over it goes the socket that listens at 127.0.0.1:8200 in there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

PORT = 8200
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def main(channel: str, *program: str) -> None:
    """Become `program`, with loopback up and its port 8200 handed over."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    listening = socket.create_server(("127.0.0.1", PORT))
    with socket.socket(fileno=int(channel)) as starter:
        socket.send_fds(starter, [b"!"], [listening.fileno()])
    os.execv(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
