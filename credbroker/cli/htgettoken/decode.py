"""Stands in for htdecodetoken: prints what a token says, as JSON for people and for jq.

The token comes from a file, standard input, or where programs look for it; never from the command line,
and scitokens-verify, where it is asked, gets it on its standard input. Exit codes: 0, 1, or the verifier's.
"""

from __future__ import annotations

import datetime
import getopt
import io
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

from credbroker.cli.desk import system_desk
from credbroker.cli.htgettoken.command import FAILED, complain
from credbroker.delivery import discovery, token_file
from credbroker.domain.errors import CredbrokerError, LocalFileUnfit, Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.jwt_text import claims_text, header_text

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk

PROGRAM = "htdecodetoken"
USAGE = """\
Usage: htdecodetoken [-a] [-H] [-s|-f] [-v] [FILE|-]

  -a  print the header, too, before the claims
  -H  print times as dates
  -s  do not ask scitokens-verify (so it is unless standard output is a terminal)
  -f  ask scitokens-verify in any case
  -v  say where the token is from

Without FILE: BEARER_TOKEN, then BEARER_TOKEN_FILE, then bt_u<uid> in XDG_RUNTIME_DIR or /tmp.
"""

_LONGEST = 64 * 1024
_VERIFIER = "scitokens-verify"
_VERIFIER_SECONDS = 60


def stand_in(words: Sequence[str], desk: Optional[Desk] = None) -> int:
    """Do what htdecodetoken would with these words, and end as it does."""
    desk = desk or system_desk()
    try:
        flags, files = _parse(words)
    except Malformed as misused:
        complain(misused, desk, FAILED, PROGRAM)
        desk.say(USAGE)
        return FAILED
    try:
        value, place = _value(files[0] if files else None, desk)
        if "-v" in flags:
            desk.say(f"Token source: {place}")
        _print(value, flags, desk)
        asks = "-f" in flags or ("-s" not in flags and desk.out.isatty())
        return _verified(value, desk) if asks else 0
    except CredbrokerError as failed:
        return complain(failed, desk, FAILED, PROGRAM)


def _parse(words: Sequence[str]) -> Tuple[List[str], List[str]]:
    try:
        found, files = getopt.getopt(list(words), "vaHsfh")
    except getopt.GetoptError as unknown:
        raise Malformed(
            f"{unknown.msg[:1].upper()}{unknown.msg[1:]}.", "This is how it goes:"
        ) from None
    flags = [name for name, _ in found]
    if "-h" in flags or len(files) > 1:
        raise Malformed("One token at a time.", "This is how it goes:")
    if {"-s", "-f"} <= set(flags):
        raise Malformed("-s and -f do not go together.", "This is how it goes:")
    return flags, files


def _value(named: Optional[str], desk: Desk) -> Tuple[Secret, str]:
    if named is None:
        found = discovery.find(desk.environ, desk.euid)
        if found is None:
            place = discovery.path_for_writing(desk.environ, desk.euid)
            raise LocalFileUnfit(f"{place} is not there, or empty.", "Get a token with: htgettoken")
        return found.value, found.place
    if named == "-":
        text = desk.inp.read(_LONGEST).strip() if desk.inp is not None else ""
        return Secret("access token", text), "standard input"
    value = discovery.read_file(Path(named))
    if value is None:
        raise LocalFileUnfit(f"{named} is not there, or empty.", "Name the file of a token.")
    return value, named


def _print(value: Secret, flags: Sequence[str], desk: Desk) -> None:
    if "-a" in flags:
        desk.answer(header_text(value))
    desk.answer(claims_text(value, _date if "-H" in flags else None))


def _date(seconds: int) -> object:
    """Return a time as `date` writes it, in this machine's time zone."""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).astimezone()
    except (OverflowError, OSError, ValueError):
        return seconds
    return moment.strftime("%a %b %e %H:%M:%S %Z %Y")


def _verified(value: Secret, desk: Desk) -> int:
    """Return what scitokens-verify says, by its exit code; 0 where it is not installed.

    Raises:
        LocalFileUnfit: It does not end.
    """
    program = shutil.which(_VERIFIER, path=desk.environ.get("PATH"))
    if program is None:
        return 0
    desk.out.flush()
    line = io.StringIO()
    token_file.show(value, line)
    try:
        verifier = subprocess.run(  # noqa: S603 - the token goes to its standard input, not into its words
            [program],
            input=line.getvalue(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_VERIFIER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalFileUnfit(f"{_VERIFIER} did not end in time.", "Leave it out with -s.") from None
    if verifier.returncode and verifier.stdout.strip():
        desk.say(verifier.stdout.strip())
    return verifier.returncode
