"""`credbroker exec -- PROGRAM`: runs a program with a token file of its own that is kept fresh.

The file is this program's alone, named by `BEARER_TOKEN_FILE`, and gone at its end. What happens to
it is told in `exec.log` in the state folder, since standard error is the program's; a person at a
terminal is told once that a login is needed, and a new login is taken up while the program runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, Mapping, Optional, TextIO, Tuple

from credbroker.cli.choice import (
    add_ca_argument,
    add_right_arguments,
    choose_audiences,
    choose_ca_file,
    choose_scopes,
)
from credbroker.cli.desk import plain, system_desk
from credbroker.cli.durations import spoken
from credbroker.cli.one_login import add_when_needed_arguments, under_login
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import login_remedy
from credbroker.domain.errors import LeaseEnded, LeaseUnknown, LocalFileUnfit, LoginNeeded
from credbroker.edge.job.keeping import Agent
from credbroker.edge.job.log import line_of, put
from credbroker.edge.job.program import Program, WakingClock
from credbroker.edge.job.under_agent import environ_of_program, run_under
from credbroker.wire.native import AskToken

if TYPE_CHECKING:
    import argparse
    import datetime

    from credbroker.cli.desk import Desk
    from credbroker.client.broker import Broker, Fetched
    from credbroker.delivery.lease_file import LeaseFile

EXAMPLE = """\
example:
  credbroker exec --scope storage.read:/store --audience https://dav.example.org -- ./analysis
"""

LOG_NAME = "exec.log"
LARGEST_LOG_BYTES = 1024 * 1024
_SHELL = "/bin/sh"
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `credbroker exec`."""
    parser.add_argument(
        "program",
        nargs="*",
        metavar="-- PROGRAM",
        help="run this, with its arguments, and end with its exit code (default: your shell)",
    )
    parser.add_argument(
        "--issuer", metavar="ISSUER", help="the issuer's short name, if there are several"
    )
    parser.add_argument("--role", metavar="R", help="the role, if there are several")
    add_right_arguments(parser)
    add_ca_argument(parser)
    add_when_needed_arguments(parser)


def run(args: argparse.Namespace, desk: Optional[Desk] = None) -> int:
    """Run the program and return its exit code; raise what kept it from being started."""
    desk = desk or system_desk()
    wanted = AskToken(choose_scopes(args.scope), choose_audiences(args.audience))
    ca_file = choose_ca_file(args, desk.environ)

    def first_under(lease: LeaseFile) -> Tuple[LeaseFile, Fetched]:
        return lease, desk.broker_of(lease, ca_file).ask_token(wanted)

    lease, first = under_login(args, desk, first_under)
    path = token_folder(desk.environ) / f"credbroker-exec-{desk.entropy.token(9)}"
    words = args.program or [desk.environ.get("SHELL") or _SHELL]
    program = Program(words, environ_of_program(desk.environ, path))
    program.take_signals()
    with opened_log(desk.environ) as log:
        tell = Teller(desk, log)
        quiet = dataclasses.replace(desk, err=log)
        source = LoginSource(quiet, lease, ca_file, first)
        clock = WakingClock()
        agent = Agent(source, lease, path, clock, desk.entropy, tell.say, wanted=wanted)
        source.on_login = agent.go_on_under
        return run_under(agent, program, tell.say)


class LoginSource:
    """Gives tokens under the login that is there by then. Follows `keeping.TokenSource`."""

    on_login: Callable[[LeaseFile], object] = staticmethod(lambda _: None)
    """Told of each new login that is taken up."""

    def __init__(
        self, desk: Desk, lease: LeaseFile, ca_file: Optional[str], first: Fetched
    ) -> None:
        """Begin with the token that came `first`."""
        self._desk = desk
        self._ca_file = ca_file
        self._first: Optional[Fetched] = first
        self._path = lease_file.person_path(desk.environ, lease.issuer, lease.role)
        self._under(lease)

    def now(self) -> datetime.datetime:
        """Return the time by the broker's clock."""
        return self._broker.now()

    def ask_token(self, wanted: AskToken) -> Fetched:
        """Return a token; a lease that is over is one more login that is needed, and may come."""
        first, self._first = self._first, None
        if first is not None:
            return first
        with contextlib.suppress(LocalFileUnfit):
            found = lease_file.read(self._path)
            if found != self._lease:
                self._under(found)
                self.on_login(found)
        try:
            return self._broker.ask_token(wanted)
        except (LeaseEnded, LeaseUnknown) as over:
            raise LoginNeeded(over.sentence, login_remedy(self._lease)) from None

    def _under(self, lease: LeaseFile) -> None:
        self._lease = lease
        self._broker: Broker = self._desk.broker_of(lease, self._ca_file)


class Teller:
    """Writes what happens into the log, and tells a person what only a person can mend, once."""

    def __init__(self, desk: Desk, log: TextIO) -> None:
        """Tell the person on the standard error of `desk`, if that is a terminal."""
        self._desk = desk
        self._log = log
        self._is_told = False

    def say(self, event: str, **fields: object) -> None:
        """Write one event."""
        now = self._desk.clock.now()
        put(self._log, line_of(now, "credbroker-exec", event, {"pid": os.getpid(), **fields}))
        left, remedy = fields.get("seconds_left"), fields.get("remedy")
        if event == "renewed":
            self._is_told = False
        elif remedy and isinstance(left, int) and not self._is_told:
            self._is_told = True
            if self._desk.err.isatty():
                lasts = f"The token here lasts for {spoken(left)}."
                self._desk.say(plain(f"credbroker: {fields['why']} {lasts} {remedy}"))


def token_folder(environ: Mapping[str, str]) -> Path:
    """Return where a program's token file goes: gone with the session, or else in the state folder."""
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and os.access(runtime, os.W_OK | os.X_OK):
        return runtime
    return _state_folder(environ)


@contextlib.contextmanager
def opened_log(environ: Mapping[str, str]) -> Iterator[TextIO]:
    """Open the log of `exec` at its end; one that cannot be written costs nobody a token.

    One that has grown large makes room: the one before it is kept as `exec.log.old`.
    """
    with contextlib.ExitStack() as held:
        try:
            path = _state_folder(environ) / LOG_NAME
            if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
                path.replace(path.with_suffix(".log.old"))
            opened = os.open(path, _APPENDING, 0o600)
            log: TextIO = held.enter_context(os.fdopen(opened, "a", encoding="utf-8"))
        except (OSError, LocalFileUnfit):
            log = held.enter_context(Path(os.devnull).open("a", encoding="utf-8"))
        yield log


def _state_folder(environ: Mapping[str, str]) -> Path:
    folder = lease_file.leases_folder(environ).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        raise LocalFileUnfit(f"{folder} cannot be made: {failure.strerror}.") from None
    return folder
