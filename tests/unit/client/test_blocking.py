"""One request over a real socket: what works, and in which words it fails."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from credbroker.client.address import Address
from credbroker.client.blocking import Door
from credbroker.client.http11 import Request
from credbroker.demo.certificates import make_authority
from credbroker.domain.errors import BrokerUnreachable, LocalFileUnfit
from credbroker.host.clock import SystemClock
from tests.fakes.broker import FakeBroker, ServedBroker
from tests.fakes.step_clock import StepClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ISSUERS = Request("GET", "/api/v1/issuers", {"X-Request-Id": "r"})


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder's authority, with a server certificate beside it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder, SystemClock())
    authority.issue("server", folder)
    return authority.ca_file


@pytest.fixture
def served(ca_file: Path) -> Iterator[ServedBroker]:
    """A fake broker behind TLS."""
    folder = ca_file.parent
    broker = ServedBroker(
        FakeBroker(SystemClock()), folder / "server.crt.pem", folder / "server.key.pem"
    )
    yield broker
    broker.stop()


@pytest.fixture
def says() -> Iterator[Callable[[bytes], Address]]:
    """Start plain servers that read a little, say something and close."""
    listeners = []

    def start(answer: bytes) -> Address:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return Address("http", "localhost", listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def port_of(url: str) -> int:
    """Return the port in `url`."""
    return int(url.rpartition(":")[2])


def test_a_request_over_tls_brings_back_its_answer(served: ServedBroker, ca_file: Path) -> None:
    """With the right authority, name and both address families, the answer comes."""
    door = Door(Address("https", "localhost", port_of(served.url)), SystemClock(), str(ca_file))
    answer = door.send(ISSUERS)
    assert (answer.status, b"cms" in answer.body) == (200, True)


def test_authorities_may_be_given_as_text(
    served: ServedBroker, ca_file: Path, tmp_path: Path
) -> None:
    """As a job's lease carries them; a file that is named counts before them."""
    address = Address("https", "localhost", port_of(served.url))
    text = ca_file.read_text()
    assert Door(address, SystemClock(), ca_pem=text).send(ISSUERS).status == 200
    other = make_authority(tmp_path, SystemClock()).ca_file
    with pytest.raises(BrokerUnreachable, match="not trusted"):
        Door(address, SystemClock(), str(other), ca_pem=text).send(ISSUERS)
    with pytest.raises(LocalFileUnfit, match="ca_pem"):
        Door(address, SystemClock(), ca_pem="no certificates").send(ISSUERS)


def test_authorities_in_a_folder_are_trusted_as_well(
    served: ServedBroker, ca_file: Path, tmp_path: Path
) -> None:
    """By their hashed names, beside the system's."""
    hashed = ["openssl", "x509", "-noout", "-hash", "-in", str(ca_file)]
    name = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(ca_file, tmp_path / f"{name}.0")
    address = Address("https", "localhost", port_of(served.url))
    door = Door(address, SystemClock(), ca_folder=str(tmp_path))
    assert door.send(ISSUERS).status == 200


def test_a_certificate_may_be_another_names(
    served: ServedBroker, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it must be that one's; the server is reached by its own name all the same."""
    place = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port_of(served.url)))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [place])
    address = Address("https", "one.of.several.example", port_of(served.url))
    with pytest.raises(BrokerUnreachable, match="not trusted"):
        Door(address, SystemClock(), str(ca_file)).send(ISSUERS)
    door = Door(address, SystemClock(), str(ca_file), certificate_name="localhost")
    assert door.send(ISSUERS).status == 200
    with pytest.raises(BrokerUnreachable, match="not trusted"):
        Door(address, SystemClock(), str(ca_file), certificate_name="other").send(ISSUERS)


def test_an_untrusted_certificate_is_named_with_its_remedy(served: ServedBroker) -> None:
    """Without the authority's file the sentence says what to give."""
    door = Door(Address("https", "localhost", port_of(served.url)), SystemClock())
    with pytest.raises(BrokerUnreachable, match="certificate that is not trusted") as refused:
        door.send(ISSUERS)
    assert "--ca-file" in refused.value.remedy


def test_an_authority_file_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing file and one without certificates give the same plain sentence."""
    empty = tmp_path / "ca.pem"
    for content in (None, "no certificates"):
        if content:
            empty.write_text(content)
        with pytest.raises(LocalFileUnfit, match="certificate authorities"):
            Door(Address("https", "localhost", 1), SystemClock(), str(empty)).send(ISSUERS)


def test_a_closed_port_is_said_in_words() -> None:
    """Nothing listens: the address and the reason are in the sentence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(BrokerUnreachable, match=rf"https://127\.0\.0\.1:{port}.*refused"):
        Door(Address("https", "127.0.0.1", port), SystemClock()).send(ISSUERS)


def test_a_server_without_tls_is_said_in_words(says: Callable[[bytes], Address]) -> None:
    """A plain answer to a TLS greeting is not mistaken for anything else."""
    address = says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(BrokerUnreachable, match="no TLS connection"):
        Door(Address("https", "localhost", address.port), SystemClock()).send(ISSUERS)


def test_an_answer_cut_short_is_said_in_words(says: Callable[[bytes], Address]) -> None:
    """Half an answer is no answer."""
    address = says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    with pytest.raises(BrokerUnreachable, match="closed before it was complete"):
        Door(address, SystemClock()).send(ISSUERS)


def test_plain_http_on_this_machine_works(says: Callable[[bytes], Address]) -> None:
    """Loopback needs no TLS."""
    address = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert Door(address, SystemClock()).send(ISSUERS).body == b"{}"


def test_plain_http_never_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves elsewhere is refused before anything is sent."""
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere])
    with pytest.raises(BrokerUnreachable, match="would leave this machine"):
        Door(Address("http", "localhost", 80), SystemClock()).send(ISSUERS)


def test_a_name_without_address_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver's refusal is put plainly."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(BrokerUnreachable, match="name cannot be resolved"):
        Door(Address("https", "nowhere.example.org", 443), SystemClock()).send(ISSUERS)


def test_the_next_address_is_tried_when_one_fails(
    monkeypatch: pytest.MonkeyPatch, says: Callable[[bytes], Address]
) -> None:
    """A host with a dead address first is still reached."""
    address = says(b"HTTP/1.1 204 No Content\r\n\r\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", dead),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", address.port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert Door(address, SystemClock()).send(ISSUERS).status == 204


def test_every_step_counts_against_one_total() -> None:
    """A server that drips bytes forever is given up when the total is over."""
    clock = StepClock()
    ours, theirs = socket.socketpair()
    door = Door(Address("https", "localhost", 1), clock, total_seconds=30)
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n")
        clock.advance(31)
        with pytest.raises(TimeoutError):
            door._receive(ours, "GET", clock.elapsed() - 1)
