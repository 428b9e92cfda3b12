"""Asks one server for the same things over and over, on connections kept open, from its own program.

As little as an HTTP/1.1 client can do over TLS, so that what is measured is the server: requests are
bytes made beforehand, and of an answer only its status and its length are looked at. What to ask
comes as JSON on standard input, secrets with it; what was seen goes out as JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

from bench.child import tell_child
from bench.machine import cpu_seconds, own_cpu_seconds
from credbroker.host.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LARGEST_ANSWER = 1 << 16
_SILENT_SECONDS = 30.0


@dataclass(frozen=True)
class Question:
    """Ask `port` on 127.0.0.1 these requests in turn, `at_once` at a time, for so many seconds.

    `programs` are the process ids, by name, whose CPU time is of interest.
    """

    port: int
    ca_file: str
    requests: Sequence[str] = field(repr=False)
    at_once: int
    seconds: float
    programs: Mapping[str, int]


@dataclass(frozen=True)
class Asked:
    """What came of it: answers by status, in how many seconds, and how long each was waited for.

    `cpu` holds the CPU seconds that each program used meanwhile, "asking" among them.
    """

    statuses: Mapping[str, int]
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu: Mapping[str, float]

    @property
    def done(self) -> int:
        """How many answers came, of whichever status."""
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.done / self.seconds

    def cpu_each(self, program: str) -> float:
        """Return the CPU milliseconds that a program used for each answer."""
        return 1000 * self.cpu[program] / self.done


async def ask(question: Question) -> Asked:
    """Ask from a program of its own. Raises `RuntimeError` if an answer was not 200."""
    asked = Asked(**await tell_child("bench.asking", asdict(question)))
    if set(asked.statuses) != {"200"}:
        raise RuntimeError(f"Not every answer was 200: {asked.statuses}")
    return asked


class Connection:
    """One request under way at any time."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        """Connect."""
        plain = socket.create_connection(("127.0.0.1", port), _SILENT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = trust.wrap_socket(plain, server_hostname="127.0.0.1")
        self.socket.setblocking(False)
        self.asked_at = 0.0
        self._answer = b""

    def ask(self, request: bytes, now: float) -> None:
        """Send a request."""
        self.asked_at = now
        self.socket.sendall(request)

    def answered(self) -> str | None:
        """Return the status once the answer is whole, None before."""
        try:
            while not _is_whole(self._answer):  # what is decrypted already wakes nobody up
                more = self.socket.recv(_LARGEST_ANSWER)
                if not more:
                    raise RuntimeError("The server closed a connection.")
                self._answer += more
        except ssl.SSLWantReadError:
            return None
        status, self._answer = self._answer[9:12].decode(), b""
        return status


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"\r\ncontent-length:")
    return bool(end) and len(body) >= int(length.partition(b"\r\n")[0])


def ask_here(question: Question) -> Asked:
    """Ask from this program; every connection has answered twice before anything counts."""
    trust = ssl.create_default_context(cafile=question.ca_file)
    with selectors.DefaultSelector() as selector:
        for _ in range(question.at_once):
            connection = Connection(question.port, trust)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        answers = _answers(selector, cycle([text.encode() for text in question.requests]))
        for _ in range(2 * question.at_once):
            next(answers)
        asked = _counted(answers, question)
        for key in list(selector.get_map().values()):
            key.data.socket.close()
        return asked


def _counted(answers: Iterator[tuple[str, float]], question: Question) -> Asked:
    clock, statuses, waits = SystemClock(), Counter[str](), list[float]()
    began, cpu = clock.elapsed(), _cpu(question.programs)
    while clock.elapsed() - began < question.seconds:
        status, waited = next(answers)
        statuses[status] += 1
        waits.append(waited)
    lasted, after = clock.elapsed() - began, _cpu(question.programs)
    waits.sort()
    used = {name: after[name] - cpu[name] for name in cpu}
    return Asked(dict(statuses), lasted, _at(waits, 0.5), _at(waits, 0.99), used)


def _answers(
    selector: selectors.BaseSelector, requests: Iterator[bytes]
) -> Iterator[tuple[str, float]]:
    """Keep every connection busy; yield each answer's status and how long it took, in seconds."""
    clock = SystemClock()
    for key in selector.get_map().values():
        key.data.ask(next(requests), clock.elapsed())
    while ready := selector.select(_SILENT_SECONDS):
        for key, _ in ready:
            connection: Connection = key.data
            status = connection.answered()
            if status is not None:
                now, asked_at = clock.elapsed(), connection.asked_at
                connection.ask(next(requests), now)
                yield status, now - asked_at
    raise RuntimeError("The server has gone silent.")


def _cpu(programs: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in programs.items()} | {
        "asking": own_cpu_seconds()
    }


def _at(waits: Sequence[float], share: float) -> float:
    return 1000 * waits[int(len(waits) * share)]


def main() -> None:
    """Do what standard input says."""
    print(json.dumps(asdict(ask_here(Question(**json.load(sys.stdin))))))


if __name__ == "__main__":
    main()
