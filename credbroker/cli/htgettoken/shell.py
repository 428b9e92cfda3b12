"""Stands in for httokensh: gets a token, runs a command, and keeps the token fresh until it ends.

- A renewal that fails is tried again until the command ends; what is in the token file stays meanwhile.
- Renewals never log in: nobody may be there to confirm it. They are told in `$BEARER_TOKEN_FILE.log`.
- The exit code is the command's. The token goes with it; so does the log, unless the last try failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Tuple

from credbroker.cli.desk import plain, system_desk
from credbroker.cli.htgettoken.command import FAILED, complain, read
from credbroker.cli.htgettoken.obtaining import obtain
from credbroker.cli.htgettoken.options import VARIABLE, named_in
from credbroker.cli.htgettoken.places import reach, session_vault_file
from credbroker.cli.htgettoken.renewing import Renewal, after_failure, after_success
from credbroker.delivery import discovery, whole_file
from credbroker.delivery.vault_files import is_stream
from credbroker.domain.errors import CredbrokerError, LoginNeeded, Malformed
from credbroker.wire.jwt import moment, peek

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.cli.htgettoken.options import Options
    from credbroker.cli.htgettoken.places import Reach
    from credbroker.domain.secret import Secret

PROGRAM = "httokensh"
USAGE = """\
Usage: httokensh [-h] HTGETTOKEN OPTION ... -- [COMMAND ...]

Gets a token as htgettoken does with these options and those in HTGETTOKENOPTS, runs the command
(default: $SHELL), and keeps the token fresh until the command ends. Its file is BEARER_TOKEN_FILE.
"""

_LOOK_SECONDS = 1.0
_KEPT_FOR = "--vaulttokenminttl=6d"
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_FOR_THE_COMMAND = (signal.SIGINT, signal.SIGQUIT)


def stand_in(words: Sequence[str], desk: Optional[Desk] = None, to: Reach = reach) -> int:
    """Do what httokensh would with these words, and end as the command does."""
    desk = desk or system_desk()
    try:
        own, command = _parse(words, desk)
    except Malformed as misused:
        complain(misused, desk, FAILED, PROGRAM)
        desk.say(USAGE)
        return FAILED
    try:
        options = _options(own, desk, to)
        session = Session(options, desk, to)
        session.begin()
        return session.run(command)
    except CredbrokerError as failed:
        return complain(failed, desk, FAILED, PROGRAM)


class Session:
    """A command and its token, at `path`."""

    def __init__(self, options: Options, desk: Desk, to: Reach) -> None:
        """Prepare; nothing is asked yet."""
        assert options.outfile is not None
        self.path = Path(options.outfile)
        self._options, self._desk, self._to = options, desk, to
        self._log = Path(f"{options.outfile}.log")
        self._next = Renewal(0.0, options.minsecs)
        self._failures = 0

    def begin(self) -> None:
        """Get the first token, with whatever login it takes; raise as `obtain` does."""
        self._planned(obtain(self._options, self._desk, self._to))

    def run(self, command: Sequence[str]) -> int:
        """Run the command with a token that stays fresh; return its exit code."""
        environ = self._environ()
        self._desk.say(f"Renewal log is at {plain(str(self._log))}")
        with _Signals() as signals:
            try:
                child = subprocess.Popen(list(command), env=environ)  # noqa: S603 - it is what was asked for
            except OSError as failure:
                whole_file.remove(self.path)
                self._desk.say(f"{PROGRAM}: {command[0]}: {failure.strerror}")
                return 126 if isinstance(failure, PermissionError) else 127
            signals.go_on_to(child)
            code = self._kept_fresh(child)
        self._clean()
        return code if code >= 0 else 128 - code

    def _kept_fresh(self, child: subprocess.Popen[bytes]) -> int:
        due = self._desk.clock.elapsed() + self._next.in_seconds
        while True:
            left = due - self._desk.clock.elapsed()
            if left <= 0:
                self.renew()
                due = self._desk.clock.elapsed() + self._next.in_seconds
                continue
            try:
                return child.wait(min(_LOOK_SECONDS, left))
            except subprocess.TimeoutExpired:
                continue

    def renew(self) -> None:
        """Try to renew the token, and plan the next try."""
        silent = dataclasses.replace(
            self._options,
            verbose=True,
            novaulttoken=True,
            showbearerurl=False,
            vaulttokenminttl="0s",
            vaulttokeninfile=_kept_in(self._options),
            minsecs=self._next.minimum_seconds,
        )
        told = io.StringIO()
        desk = dataclasses.replace(self._desk, err=told, out=told)
        try:
            self._planned(obtain(silent, desk, self._to))
            self._failures = 0
        except CredbrokerError as failed:
            self._failures += 1
            self._next = after_failure(self._next, self._failures)
            desk.say(plain(f"{failed.sentence} {failed.remedy}"))
        at = self._desk.clock.now().strftime("%Y-%m-%d %H:%M:%S UTC")
        desk.say(f"{at} Renewal scheduled in {self._next.in_seconds:.0f} seconds")
        self._note(told.getvalue())

    def _note(self, text: str) -> None:
        """Append to the log, if it is a file of ours and has room; nowhere else is it told."""
        # A pipe that somebody put there would be waited for.
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        )
        with contextlib.suppress(OSError):
            opened = os.open(self._log, flags, 0o600)
            with os.fdopen(opened, "a", encoding="utf-8") as log:
                found = os.fstat(opened)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                    log.write(text)

    def _planned(self, token: Optional[Secret]) -> None:
        if token is None:
            raise LoginNeeded("A session needs a bearer token.", "Leave --nobearertoken away.")
        _, claims = peek(token)
        now, ends = self._desk.clock.now(), moment(claims, "exp")
        left = (ends - now).total_seconds()
        life = (ends - moment(claims, "iat")).total_seconds() if "iat" in claims else left
        asked, promised = self._options.minsecs, self._next.minimum_seconds
        self._next = after_success(left, life, asked, promised)

    def _environ(self) -> Dict[str, str]:
        """Return what the command finds: the file, and nothing that programs would take before it."""
        found = {**self._desk.environ, discovery.FILE_VARIABLE: str(self.path)}
        found.pop(discovery.VALUE_VARIABLE, None)
        return found

    def _clean(self) -> None:
        whole_file.remove(self.path)
        if self._failures:
            self._desk.say(f"{PROGRAM}: The last renewal failed; see {plain(str(self._log))}")
        else:
            whole_file.remove(self._log)


def _parse(words: Sequence[str], desk: Desk) -> Tuple[List[str], List[str]]:
    """Return htgettoken's words and the command."""
    if not words or words[0] in {"-h", "--help"}:
        raise Malformed("This is how it is used.", "This is how it goes:")
    if "--" not in words:
        raise Malformed("No -- separator given.", "This is how it goes:")
    at = list(words).index("--")
    own, command = list(words[:at]), list(words[at + 1 :])
    if not own:
        raise Malformed("No htgettoken options given.", "This is how it goes:")
    return own, command or [desk.environ.get("SHELL") or "/bin/sh"]


def _options(own: Sequence[str], desk: Desk, to: Reach) -> Options:
    """Return what is asked of htgettoken, with files of the session's own."""
    given = [*desk.environ.get(VARIABLE, "").split(), *own]
    more: List[str] = []
    if not named_in(given, "--vaulttokenfile"):
        more.append(f"--vaulttokenfile={session_vault_file(' '.join(own), desk.euid)}")
    if not named_in(given, "--vaulttokenttl", "--vaulttokenminttl"):
        more.append(_KEPT_FOR)
    options = read([*own, *more], desk, to)
    usual = discovery.path_for_writing({**desk.environ, discovery.FILE_VARIABLE: ""}, desk.euid)
    said = options.outfile or desk.environ.get(discovery.FILE_VARIABLE)
    mine = said.replace("%uid", str(desk.euid)) if said else f"{usual}.sh-{os.getpid()}"
    if is_stream(mine):
        raise Malformed("A session needs a file for its token, and no stream.", "Mend --outfile.")
    return dataclasses.replace(options, outfile=os.path.abspath(mine))  # noqa: PTH100 - no links are followed


def _kept_in(options: Options) -> str:
    """Return where the vault token is after the first time, when one that was handed over is used up."""
    return "%vaulttokenfile" if is_stream(options.vaulttokeninfile) else options.vaulttokeninfile


class _Signals:
    """While the command runs, ^C is its own to take, and being told to end goes on to it."""

    def __init__(self) -> None:
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._early: List[int] = []
        self._before: List[Tuple[signal.Signals, object]] = []

    def __enter__(self) -> _Signals:
        for number in (*_FOR_THE_COMMAND, *_PASSED_ON):
            taken: Callable[..., None] = self._pass_on if number in _PASSED_ON else _leave
            self._before.append((number, signal.signal(number, taken)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before:
            signal.signal(number, before)  # type: ignore[arg-type] # it came from there

    def go_on_to(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def _pass_on(self, number: int, _: object) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.send_signal(number)


def _leave(*_: object) -> None:
    """Do nothing: the terminal has told the command, too."""
