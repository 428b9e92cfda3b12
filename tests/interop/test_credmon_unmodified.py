"""The stories of `test_credmon_golden`, with HTCondor's credmon itself, and what it really sends.

It runs where `CREDBROKER_HTCONDOR_SOURCE` names a folder of HTCondor's source.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.interop.condor.daemon import CredmonDaemon, install_bindings
from tests.interop.condor.site import AccessPoint, StartCredmon, put_top, url_of
from tests.interop.credmon import Credmon
from tests.interop.test_credmon_golden import NARROW
from tests.interop.test_credmon_golden import (
    test_a_login_at_the_broker_serves_a_whole_and_narrowed_files as test_a_login_at_the_broker,
)
from tests.interop.test_credmon_golden import (
    test_a_refusal_that_lasts_deletes_that_one_login as test_a_refusal_that_lasts,
)
from tests.interop.test_credmon_golden import (
    test_an_old_server_that_is_down_deletes_nothing as test_an_old_server_that_is_down,
)
from tests.interop.test_credmon_golden import (
    test_an_outage_and_a_restart_delete_nothing as test_an_outage_and_a_restart,
)
from tests.interop.test_credmon_golden import (
    test_half_a_minute_of_refusals_less_a_second_deletes_nothing as test_almost_half_a_minute,
)
from tests.interop.test_credmon_golden import (
    test_two_hundred_old_files_go_over_and_back as test_over_and_back,
)
from tests.interop.test_credmon_golden import (
    test_what_the_old_server_refuses_for_a_moment_is_deleted_by_nobody as test_a_moment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credbroker.demo.certificates import Authority

__all__ = [
    "test_a_login_at_the_broker",
    "test_a_moment",
    "test_a_refusal_that_lasts",
    "test_almost_half_a_minute",
    "test_an_old_server_that_is_down",
    "test_an_outage_and_a_restart",
    "test_over_and_back",
]

pytest_plugins = ["tests.interop.htgettoken.fixtures", "tests.interop.condor.fixtures"]
pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(600)]

NOTHING = b'{"errors":[]}'


@pytest.fixture(scope="session")
def bindings(pytestconfig: pytest.Config) -> Path:
    """HTCondor's bindings for Python."""
    return install_bindings(pytestconfig.cache.mkdir("htcondor"))


@pytest.fixture
def start_credmon(authority: Authority, bindings: Path) -> Iterator[StartCredmon]:
    """The credmon itself."""
    with ExitStack() as running:

        def start(folder: Path, port: int) -> AccessPoint:
            credmon = CredmonDaemon(folder, authority.ca_file, port, bindings)
            return running.enter_context(closing(credmon))

        yield start


def test_what_it_sends_is_what_was_recorded(
    tmp_path: Path, authority: Authority, start_credmon: StartCredmon
) -> None:
    """Byte for byte, for a login that is whole and for those narrowed in each way."""
    url = url_of("ada@x.test")
    put_top(tmp_path, "ada", "one", vault_token="s.whole", vault_url=url)
    put_top(tmp_path, "ada", "one_low", vault_url=url_of("ada/a/b", "sts"), **NARROW)
    put_top(
        tmp_path, "ada", "one_lists", vault_url=url_of("ada", "sts"), scopes="a:/,b c", audience=""
    )
    put_top(tmp_path, "ada", "one_old", vault_url=url_of("ada b"), **NARROW)
    sent: dict[str, list[bytes]] = {}
    for name, start in (("real", start_credmon), ("recorded", _recorded(authority))):
        with listening(tmp_path, authority) as (port, heard):
            credmon = start(tmp_path, port)
            heard.clear()
            credmon.scan()
            sent[name] = sorted(heard)
    assert len(sent["real"]) == 4
    assert sent["real"] == sent["recorded"]


def _recorded(authority: Authority) -> StartCredmon:
    def start(folder: Path, port: int) -> AccessPoint:
        return Credmon(folder, authority.ca_file, port)

    return start


@contextmanager
def listening(folder: Path, authority: Authority) -> Iterator[tuple[int, list[bytes]]]:
    """Listen at a port and say to everything that nothing is there; gives what was sent."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("listener", folder))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = threading.Thread(target=_listen, args=(server, tls, heard))
        listener.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            listener.join()


def _listen(server: socket.socket, tls: ssl.SSLContext, heard: list[bytes]) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    while True:
        try:
            raw, _ = server.accept()
        except OSError:
            return
        with raw, tls.wrap_socket(raw, server_side=True) as connection:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += connection.recv(1 << 16)
            heard.append(request)
            connection.sendall(answer % (len(NOTHING), NOTHING))
