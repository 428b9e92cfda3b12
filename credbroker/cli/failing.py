"""How a command ends that failed: one sentence on standard error, and an exit code.

The code says whose turn it is, as `cli.exits` tells, and is the same if nobody can read the sentence.
"""

from __future__ import annotations

import os
import sys

from credbroker.cli.exits import FAILED, INTERRUPTED, exit_code
from credbroker.domain.errors import CredbrokerError


def interrupted() -> int:
    """Say that it was stopped by ^C."""
    complain("\ncredbroker: stopped\n")
    return INTERRUPTED


def unread() -> int:
    """Say nothing: who read the answer, as `head` does, has seen enough."""
    _forget_stream(1)
    return FAILED


def failed(error: Exception, *, debug: bool) -> int:
    """Say what went wrong, with `debug` also where; to be called while that is being handled."""
    if debug:
        import traceback

        complain(traceback.format_exc())
    return _refused(error) if isinstance(error, CredbrokerError) else _unforeseen(error)


def _refused(error: CredbrokerError) -> int:
    from credbroker.cli.desk import plain

    request = f" (request {error.request_id})" if error.request_id else ""
    complain(plain(f"credbroker: {error.sentence} {error.remedy}{request}") + "\n")
    return exit_code(error)


def _unforeseen(error: Exception) -> int:
    # Its text is not shown: it was not written for people, and nobody checked it for secrets.
    complain(
        f"credbroker: Something unforeseen went wrong ({type(error).__name__})."
        " Run it again with --debug to see where.\n"
    )
    return FAILED


def complain(text: str) -> None:
    """Say something on standard error, if anybody can read it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _forget_stream(2)
    except ValueError:
        pass  # it was closed


def _forget_stream(number: int) -> None:
    """Let what is left to write go nowhere, or Python ends with an exit code of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
