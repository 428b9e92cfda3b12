"""Port 8200 of a site's one name, and the server that is behind it just now.

- Whoever changes what is behind it ends the connections that still stand, as when a name moves.
- With nobody behind it a connection is accepted and closed at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading


class Crossing:
    """Hands on, byte for byte, what comes to a listening socket."""

    def __init__(self, listening: socket.socket, port: int) -> None:
        """Hand on what comes to `listening` to `port` on 127.0.0.1, until `close`."""
        self._listening, self._port = listening, port
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, name="crossing")
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it all ends up."""
        return self._port

    @port.setter
    def port(self, port: int) -> None:
        self._port = port
        self._end_all()

    def close(self) -> None:
        """Accept nothing more; afterwards every connection is closed."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        self._end_all()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                here.close()
                continue
            self._open |= {here, there}
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while read := source.recv(1 << 16):
                target.sendall(read)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
        self._open.discard(source)

    def _end_all(self) -> None:
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
