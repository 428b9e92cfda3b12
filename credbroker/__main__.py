"""The one program: `credbroker COMMAND`, also as `python -m credbroker` and `credbroker.pyz`.

A command's module is loaded when the command is called and not before, so each loads only what it
needs. It offers `add_arguments(parser)` and `run(args) -> int`, and may offer an `EXAMPLE`, and
`read_foreign(words)` for words that another program understands. What
goes wrong ends as one sentence on standard error and an exit code that says whose turn it is; the
code is the same if nobody can read the sentence.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional

from credbroker import __version__
from credbroker.domain.errors import CredbrokerError

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True)
class Command:
    """Where a command lives, and what it does in a few words."""

    module: str
    summary: str


COMMANDS = {
    "login": Command("credbroker.cli.login", "log in with a browser, on this or another device"),
    "token": Command("credbroker.cli.token", "get a fresh access token"),
    "exec": Command(
        "credbroker.edge.job.exec_command", "run a program with a token that is kept fresh"
    ),
    "status": Command("credbroker.cli.status", "show how your logins stand"),
    "inspect": Command(
        "credbroker.cli.inspect", "say what a token is good for, and what a storage would allow"
    ),
    "logout": Command("credbroker.cli.logout", "end a login everywhere"),
    "shims": Command("credbroker.cli.shims", "write stand-ins for htgettoken and its companions"),
    "notices": Command("credbroker.cli.notices", "choose whether mails are sent about your logins"),
    "job": Command("credbroker.cli.job", "make a job's own narrow lease, look at it, end it"),
    "deliver": Command(
        "credbroker.cli.deliver", "have this host keep a token ready whenever you are logged in"
    ),
    "agent": Command(
        "credbroker.edge.agent", "keep token files fresh: a job's, a host's, services'"
    ),
    "condor-storer": Command(
        "credbroker.edge.storer.command", "let a submit to HTCondor find its tokens in place"
    ),
    "credmon": Command(
        "credbroker.edge.condor.command", "keep the tokens of HTCondor's jobs fresh"
    ),
    "serve": Command("credbroker.daemon", "run the broker"),
    "admin": Command(
        "credbroker.admin.commands",
        "contain an incident, measure an issuer, trust it again, go on after a restore",
    ),
    "audit": Command(
        "credbroker.admin.audit",
        "check the audit trail, or follow a token, a job or a person in it",
    ),
    "config": Command(
        "credbroker.admin.config_check", "check a broker's settings, show them, or make some"
    ),
    "policy": Command(
        "credbroker.admin.policy", "say whether a token would be signed, and by which line"
    ),
    "jwks": Command("credbroker.admin.jwks", "write the public keys of your issuers as files"),
    "demo": Command("credbroker.demo.main", "show all of it working on this machine"),
}


def main(argv: Optional[List[str]] = None) -> int:
    """Run one command and return its exit code; `cli.exits` tells what each code means."""
    _open_missing_streams()
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        return _run(name, arguments[1:])
    if name in {"-h", "--help", "help"}:
        sys.stdout.write(_overview())
        return 0
    if name in {"-V", "--version"}:
        sys.stdout.write(f"credbroker {__version__}\n")
        return 0
    fault = f"There is no command {name!r}." if name else "Which command?"
    _complain(f"credbroker: {fault}\n\n{_overview()}")
    return 2


def _open_missing_streams() -> None:
    """Let what is said where no stream is, as after `2>&-`, go nowhere and fail nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}} {one.summary}" for name, one in COMMANDS.items()]
    return "\n".join(
        [
            "usage: credbroker COMMAND [OPTION ...]",
            "",
            *lines,
            "",
            "credbroker COMMAND --help tells more, with an example; credbroker --version the version.",
            "",
        ]
    )


def _run(name: str, arguments: List[str]) -> int:
    try:
        module = _module(name)
        if module is None:
            return 2
        args = _foreign(module, arguments) or _parser(name, module).parse_args(arguments)
        return _called(module, args)
    except KeyboardInterrupt:
        return _interrupted()


def _module(name: str) -> Optional[ModuleType]:
    try:
        return importlib.import_module(COMMANDS[name].module)
    except ModuleNotFoundError as missing:
        _complain(
            f"credbroker: {name} is not in this one-file program; it needs the whole of credbroker"
            f" (missing here: {missing.name})\n"
        )
        return None


def _foreign(module: ModuleType, arguments: List[str]) -> Optional[argparse.Namespace]:
    """Return what the command makes of another program's words; None if these are its own."""
    reader = getattr(module, "read_foreign", None)
    foreign: Optional[argparse.Namespace] = reader(arguments) if reader else None
    return foreign


def _called(module: ModuleType, args: argparse.Namespace) -> int:
    try:
        try:
            code: int = module.run(args)
        finally:
            sys.stdout.flush()
    except CredbrokerError as error:
        return _failed(error, debug=args.debug)
    except BrokenPipeError:
        return _unread()
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence instead of a stack
        return _unforeseen(error, debug=args.debug)
    return code


def _parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    offered: Any = module
    parser = argparse.ArgumentParser(
        prog=f"credbroker {name}",
        description=COMMANDS[name].summary[0].upper() + COMMANDS[name].summary[1:] + ".",
        epilog=getattr(module, "EXAMPLE", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    offered.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show where in the program it failed")
    return parser


def _interrupted() -> int:
    from credbroker.cli.exits import INTERRUPTED

    _complain("\ncredbroker: stopped\n")
    return INTERRUPTED


def _unread() -> int:
    """Say nothing: who read the answer, as `head` does, has seen enough."""
    from credbroker.cli.exits import FAILED

    _forget_stream(1)
    return FAILED


def _failed(error: CredbrokerError, *, debug: bool) -> int:
    from credbroker.cli.desk import plain
    from credbroker.cli.exits import exit_code

    if debug:
        _complain(traceback.format_exc())
    request = f" (request {error.request_id})" if error.request_id else ""
    _complain(plain(f"credbroker: {error.sentence} {error.remedy}{request}") + "\n")
    return exit_code(error)


def _unforeseen(error: Exception, *, debug: bool) -> int:
    from credbroker.cli.exits import FAILED

    if debug:
        _complain(traceback.format_exc())
    # Its text is not shown: it was not written for people, and nobody checked it for secrets.
    _complain(
        f"credbroker: Something unforeseen went wrong ({type(error).__name__})."
        " Run it again with --debug to see where.\n"
    )
    return FAILED


def _complain(text: str) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
