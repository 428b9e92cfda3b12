"""`credbroker token -a HOST ...`, and the stand-in for htgettoken: the same deed, each with its exit codes.

The stand-in ends with 0, 1 or 2 as htgettoken does, and with `-q` says nothing of a failure but how the
program is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Sequence

from credbroker.cli.desk import plain, system_desk
from credbroker.cli.htgettoken import options as words_of
from credbroker.cli.htgettoken.obtaining import obtain
from credbroker.cli.htgettoken.places import option_page, reach
from credbroker.client.vault_server import VaultServer
from credbroker.domain.errors import CredbrokerError, Malformed

if TYPE_CHECKING:
    from credbroker.cli.desk import Desk
    from credbroker.cli.htgettoken.options import Options
    from credbroker.cli.htgettoken.places import Reach

FAILED, MISUSED = 1, 2


def run_words(words: Sequence[str], desk: Optional[Desk] = None, to: Reach = reach) -> int:
    """Do what htgettoken would with these words; raise what went wrong."""
    desk = desk or system_desk()
    obtain(read(words, desk, to), desk, to)
    return 0


def stand_in(words: Sequence[str], desk: Optional[Desk] = None, to: Reach = reach) -> int:
    """Do what htgettoken would with these words, and end as it does."""
    desk = desk or system_desk()
    try:
        options = read(words, desk, to)
    except Malformed as misused:
        return complain(misused, desk, MISUSED)
    except CredbrokerError as failed:
        return complain(failed, desk, FAILED)
    try:
        obtain(options, desk, to)
    except CredbrokerError as failed:
        return FAILED if options.quiet else complain(failed, desk, FAILED)
    return 0


def read(words: Sequence[str], desk: Desk, to: Reach = reach) -> Options:
    """Return the options of the command line, HTGETTOKENOPTS and the option server."""

    def fetch(options: Options) -> str:
        page = option_page(options)
        send = to(page.address, desk.clock, options, desk.environ)
        return VaultServer(send, lambda _: None).options(page.target)

    return words_of.parse(words, desk.environ, fetch)


def complain(error: CredbrokerError, desk: Desk, code: int, program: str = words_of.PROGRAM) -> int:
    """Say what went wrong, and return `code`."""
    desk.say(plain(f"{program}: {error.sentence} {error.remedy}"))
    return code
