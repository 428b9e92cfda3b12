"""Logs a person in by browser: shows where and with which code, opens it if it can, and asks until done.

- What a person must see is said even if nothing else is to be, and they are helped to get there as at
  `credbroker login`.
- A program that they name is not waited for until it ends: some do when their window is closed.
- A server that is away for a moment, or asks for patience, ends no login (RFC 8628 section 3.5).
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Dict, Mapping

from credbroker.cli import qr
from credbroker.cli.browser import open_if_seen
from credbroker.cli.desk import plain
from credbroker.cli.htgettoken.places import service_of, url_of
from credbroker.cli.terminal import Countdown, is_dumb
from credbroker.client.vault_server import BrowserLogin, LoggedIn, StillPending
from credbroker.domain.errors import LoginExpired, Unavailable
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.cli.htgettoken.options import Options
    from credbroker.client.vault_server import VaultServer

LOGIN_SECONDS = 600.0
"""For how long servers in HTVault's way keep a login that nobody confirmed."""

_LEAST_SECONDS, _SLOWER_SECONDS = 1.0, 5.0
_OPENING_SECONDS = 3.0
_NONCE_BYTES = 32
_BROWSERS = "x-www-browser:firefox:chromium-browser:google-chrome:konqueror:epiphany"


def log_in_by_browser(options: Options, server: VaultServer, desk: Desk) -> LoggedIn:
    """Return what the login gave that a person confirmed.

    Raises:
        LoginExpired: Nobody did in time.
        CredbrokerError: What the server says.
    """
    path = options.oidcpath.replace("%issuer", options.issuer)
    nonce = Secret("client nonce", desk.entropy.token(_NONCE_BYTES))
    redirect = f"{url_of(service_of(options))}/v1/{path}/callback"
    login = server.begin(path, options.role, nonce, redirect)
    _show(login, options, desk)
    deadline = desk.clock.elapsed() + LOGIN_SECONDS
    with Countdown(desk.clock, desk.err, deadline, is_dumb=is_dumb(desk.environ)) as countdown:
        seconds = login.poll_seconds
        while True:
            # The last poll falls on the deadline, however seldom the server would be asked.
            countdown.wait(max(_LEAST_SECONDS, min(seconds, countdown.left())))
            try:
                return server.poll(path, login)
            except StillPending as pending:
                seconds += _SLOWER_SECONDS if pending.slow_down else 0.0
            except Unavailable:
                seconds += _SLOWER_SECONDS
            if countdown.left() <= 0:
                raise LoginExpired("Nobody confirmed the login in time.", "Run this again.")


def _show(login: BrowserLogin, options: Options, desk: Desk) -> None:
    desk.say(f"\nComplete the authentication at:\n    {plain(login.url)}")
    if login.user_code:
        desk.say(f"When prompted, enter code {plain(login.user_code)}")
    qr.show(login.url, desk)
    command = options.web_open_command
    if command is None:
        open_if_seen(login.url, desk)
    elif command and not _opened(command, login.url, desk.environ):
        desk.say(f"Couldn't open web browser with '{plain(command)}', please open URL manually")


def _opened(command: str, url: str, environ: Mapping[str, str]) -> bool:
    """True unless the program soon fails to open the address; browsers inside a terminal are not meant."""
    own: Dict[str, str] = dict(environ)
    own.setdefault("BROWSER", _BROWSERS if "DISPLAY" in environ else "no-browser")
    try:
        opening = subprocess.Popen(  # noqa: S603 - the person's own choice of program
            [command, url],
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return opening.wait(_OPENING_SECONDS) == 0
    except OSError:
        return False
    except subprocess.TimeoutExpired:
        opening.returncode = 0  # nobody waits for it, and Python need not warn of that
        return True
