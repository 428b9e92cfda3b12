"""Stands in for htdestroytoken: removes bearer and vault token, and with -f ends the login first.

Exit codes: 0 done, 2 wrong usage, 3 the login could not be ended; then all files stay.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

from credbroker.cli.desk import plain, system_desk
from credbroker.cli.htgettoken.command import FAILED, MISUSED, complain, read
from credbroker.cli.htgettoken.obtaining import bearer_url
from credbroker.cli.htgettoken.options import VARIABLE
from credbroker.cli.htgettoken.places import files_of, reach, server_of
from credbroker.client.vault_server import VaultServer
from credbroker.delivery import discovery, vault_files, whole_file
from credbroker.domain.errors import CredbrokerError, LoginNeeded, Malformed

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.cli.htgettoken.places import Reach

PROGRAM = "htdestroytoken"
FILE_VARIABLE = "VAULT_TOKEN_FILE"
NOT_ENDED = 3
USAGE = """\
Usage: htdestroytoken [-h] [-q] [-f [HTGETTOKEN OPTION ...]]

  -q  say nothing
  -f  end the login at the server first; who that is, htgettoken's options say, or HTGETTOKENOPTS

Removed are BEARER_TOKEN_FILE or bt_u<uid>, and VAULT_TOKEN_FILE or /tmp/vt_u<uid>; with -f the
--vaulttokenfile of the options, unless VAULT_TOKEN_FILE is set.
"""


def stand_in(words: Sequence[str], desk: Optional[Desk] = None, to: Reach = reach) -> int:
    """Do what htdestroytoken would with these words, and end as it does."""
    desk = desk or system_desk()
    try:
        quiet, others = _parse(words, desk)
    except Malformed as misused:
        if misused.sentence:
            complain(misused, desk, MISUSED, PROGRAM)
        desk.say(USAGE)
        return MISUSED
    tell = (lambda _: None) if quiet else desk.say
    vault = Path(desk.environ.get(FILE_VARIABLE) or f"/tmp/vt_u{desk.euid}")  # noqa: S108 - its name
    try:
        if others is not None:
            vault, url = _end(others, vault, desk, to)
            tell(plain(f"Deleted refresh token\n  at path {url}") if url else "No vault token")
    except CredbrokerError as failed:
        return complain(failed, desk, NOT_ENDED, PROGRAM)
    try:
        for path in (discovery.path_for_writing(desk.environ, desk.euid), vault):
            if not vault_files.is_stream(str(path)) and whole_file.remove(path):
                tell(f"Removed {plain(str(path))}")
    except CredbrokerError as failed:
        return complain(failed, desk, FAILED, PROGRAM)
    return 0


def _parse(words: Sequence[str], desk: Desk) -> Tuple[bool, Optional[List[str]]]:
    """Return whether to be quiet, and htgettoken's words if the login is to be ended."""
    own = list(words[: words.index("-f")] if "-f" in words else words)
    others = [one for one in words[len(own) + 1 :] if one != "-q"] if "-f" in words else None
    if set(own) - {"-q"} or "-h" in words:
        raise Malformed("" if "-h" in words else "What is that?", "This is how it goes:")
    if others == [] and not desk.environ.get(VARIABLE):
        raise Malformed("No htgettoken options were given.", "This is how it goes:")
    return "-q" in words, others


def _end(words: Sequence[str], vault: Path, desk: Desk, to: Reach) -> Tuple[Path, Optional[str]]:
    """End the login, and return where its vault token was and where its tokens were read."""
    options = read(words, desk, to)
    if options.vaulttokenfile is not None and FILE_VARIABLE not in desk.environ:
        vault = Path(files_of(options, desk.environ, desk.euid).vault)
    place = os.fspath(vault)
    vault_token = None if vault_files.is_stream(place) else vault_files.read_vault_token(place)
    if vault_token is None:
        return vault, None
    url = bearer_url(options, desk)
    if url is None:
        raise LoginNeeded("It is not known whose login is to be ended.", "Say --credkey.")
    send = to(server_of(options), desk.clock, options, desk.environ)
    VaultServer(send, lambda _: None).end(url.partition("/v1/")[2], vault_token)
    return vault, url
