"""Logins and tokens in a notebook: `%load_ext credbroker.client.jupyter`.

`%credbroker_login` shows link, code and QR code at once and waits; `%credbroker_token` gives a token.

- What is displayed, and may be saved with the notebook, never holds a token. The code and its link
  are gone from it once the login has ended, in whatever way.
- Nothing is kept before the login has succeeded, so an interrupt leaves nothing behind.
- What goes wrong is one sentence and what to do, and the cells below are not run.

In a terminal, where nothing can be displayed, the login looks like that of `credbroker login`.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Dict, Iterator, NoReturn, Optional

from IPython.core.error import UsageError
from IPython.display import DisplayHandle
from IPython.terminal.interactiveshell import TerminalInteractiveShell

from credbroker.cli import login, qr
from credbroker.cli.choice import add_login_arguments, choose_address, choose_ca_file, choose_place
from credbroker.cli.desk import at_minute, system_desk
from credbroker.cli.durations import parse_duration, spoken
from credbroker.client.fresh import MINIMUM_SECONDS, fresh_token, holding
from credbroker.delivery import lease_file
from credbroker.domain.errors import CredbrokerError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from credbroker.cli.desk import Desk
    from credbroker.client.blocking import BlockingClock
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.domain.tokens import AccessToken
    from credbroker.wire.native import LoginStarted, StartLogin

_TICK_SECONDS = 1.0


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to `shell`, as `%load_ext` wants it."""

    def credbroker_login(line: str) -> None:
        """%credbroker_login [ISSUER] [--role R] [--broker URL] [--ca-file FILE].

        Log in: shows a link, a code and a QR code, and waits until that is confirmed.
        """
        with _in_notebook_words():
            _log_in(_login_words().read(line), system_desk(), shell)

    def credbroker_token(line: str) -> AccessToken:
        """%credbroker_token [ISSUER] [--role R] [--scope S] [--audience A] [--minimum TIME].

        Return a fresh access token, as in: token = %credbroker_token cms. The text that a service
        wants is token.value.reveal(); it is not displayed, for notebooks are saved and shared.
        """
        with _in_notebook_words():
            return fresh_token(**vars(_token_words().read(line)))

    for magic in (credbroker_login, credbroker_token):
        shell.magics_manager.register_function(magic)


class _Words(argparse.ArgumentParser):
    """Reads the words behind a magic; what is wrong with them ends the cell and not the notebook."""

    def read(self, line: str) -> argparse.Namespace:
        try:
            return self.parse_args(shlex.split(line))
        except ValueError:
            self.error("a quotation mark is not closed")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. {self.format_usage()}")


def _login_words() -> _Words:
    words = _Words("%credbroker_login", add_help=False)
    add_login_arguments(words)
    words.add_argument("--broker", metavar="URL")
    return words


def _token_words() -> _Words:
    words = _Words("%credbroker_token", add_help=False)
    words.add_argument("issuer", metavar="ISSUER", nargs="?")
    words.add_argument("--role", metavar="R")
    words.add_argument("--scope", metavar="S", action="append", dest="scopes")
    words.add_argument("--audience", metavar="A", action="append", dest="audiences")
    words.add_argument("--minimum", metavar="TIME", type=parse_duration, default=MINIMUM_SECONDS)
    return words


def _log_in(args: argparse.Namespace, desk: Desk, shell: InteractiveShell) -> None:
    address = choose_address(args.broker, desk.environ)
    ca_file = choose_ca_file(args, desk.environ)
    wanted = choose_place(args.issuer, args.role, desk.broker(address, ca_file))
    if isinstance(shell, TerminalInteractiveShell):
        login.log_in(wanted, "auto", desk, address, ca_file)
    else:
        log_in(wanted, desk, address, ca_file)
    holding().forget()  # what is held may be another person's


def log_in(wanted: StartLogin, desk: Desk, address: str, ca_file: Optional[str]) -> LeaseFile:
    """Take the person through a login in the notebook; return its lease, which is then kept.

    Raises `LoginExpired`, `LoginDenied`, `LocalFileUnfit`, and what the broker says.
    """
    broker = desk.broker(address, ca_file)
    lease_file.make_leases_folder(desk.environ, desk.entropy)
    started = broker.start_login(wanted)
    deadline = login.deadline_of(started, broker, desk.clock)
    with _shown(started) as panel:
        state = login.wait_for(started, broker, Countdown(desk.clock, deadline, panel))
        lease = login.lease_of(started, state, address, ca_file)
        lease_file.write(
            lease_file.person_path(desk.environ, lease.issuer, lease.role), lease, desk.entropy
        )
        panel.outcome = (
            f"Logged in to {lease.issuer} as {lease.credkey} in the role {lease.role}"
            f" until {at_minute(lease.lease_ends_at)}."
        )
    return lease


@dataclass
class Panel:
    """What is displayed of one login: how to confirm it, and below that what is left of the time."""

    body: DisplayHandle
    line: DisplayHandle
    outcome: str = "The login was broken off; nothing was kept."
    told: str = field(default="")

    def tell(self, text: str) -> None:
        """Show `text` below, unless it is there already."""
        if text != self.told:
            self.told = text
            self.line.update(_paragraph(text), raw=True)

    def close(self) -> None:
        """Leave only what came of it."""
        self.body.update(_paragraph(self.outcome), raw=True)
        self.tell("")


class Countdown:
    """Waits until a deadline, in seconds since boot, and shows what is left. Follows `login.Waiting`."""

    def __init__(self, clock: BlockingClock, deadline: float, panel: Panel) -> None:
        """Show it on `panel`."""
        self._clock = clock
        self._deadline = deadline
        self._panel = panel

    def left(self) -> float:
        """Return how many seconds are left; negative when it is over."""
        return self._deadline - self._clock.elapsed()

    def wait(self, seconds: float) -> None:
        """Wait, keeping what is shown up to date."""
        end = self._clock.elapsed() + seconds
        while self._clock.elapsed() < end:
            self._panel.tell(f"Waiting for you, {spoken(self.left())} left …")
            self._clock.block(min(_TICK_SECONDS, end - self._clock.elapsed()))


@contextlib.contextmanager
def _shown(started: LoginStarted) -> Iterator[Panel]:
    """Display how to confirm a login during a `with` block, and then what came of it."""
    panel = Panel(DisplayHandle(), DisplayHandle())
    try:
        panel.body.display(_how_to_confirm(started), raw=True)
        panel.line.display(_paragraph(""), raw=True)
        yield panel
    except CredbrokerError as error:
        panel.outcome = error.sentence
        raise
    finally:
        panel.close()


def _how_to_confirm(started: LoginStarted) -> Dict[str, str]:
    """Return it as HTML, and as text for notebooks that show no more than that."""
    address = started.verification_uri_complete or started.verification_uri
    asked = "confirm" if started.verification_uri_complete else "type"
    shown = escape(address)
    if address.startswith(("https://", "http://")):  # another scheme could run something on a click
        shown = f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    first = f"To log in to {started.issuer} in the role {started.role}, open"
    then = f"and {asked} this code there:"
    page = (
        f"<p>{escape(first)}</p><p>{shown}</p><p>{then}</p>"
        f'<p style="font-size: 150%"><code>{escape(started.user_code)}</code></p>'
        f"{qr.picture(address) or ''}"
    )
    text = f"{first}\n\n    {address}\n\n{then}\n\n    {started.user_code}\n"
    return {"text/html": page, "text/plain": text}


def _paragraph(text: str) -> Dict[str, str]:
    return {"text/html": f"<p>{escape(text)}</p>" if text else "", "text/plain": text}


@contextlib.contextmanager
def _in_notebook_words() -> Iterator[None]:
    """Turn what went wrong into one message without a trace; the commands in it become magics."""
    try:
        yield
    except CredbrokerError as error:
        remedy = error.remedy.replace("credbroker login", "%credbroker_login")
        raise UsageError(f"{error.sentence} {remedy}") from None
