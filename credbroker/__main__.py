"""The one program: `credbroker COMMAND`, also as `python -m credbroker` and `credbroker.pyz`.

A command's module is loaded when the command is called and not before, so each loads only what it
needs. It offers `add_arguments(parser)` and `run(args) -> int`, and may offer an `EXAMPLE`, and
`read_foreign(words)` for words that another program understands. What
goes wrong ends as one sentence on standard error and an exit code that says whose turn it is; the
code is the same if nobody can read the sentence.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys

from credbroker import __version__

TYPE_CHECKING = False  # what mypy takes for the one in typing, which takes longer to load than this
if TYPE_CHECKING:
    import argparse
    from types import ModuleType
    from typing import Any, Callable


class Command:
    """Where a command lives, what it does in a few words, and what answers its plainest case."""

    def __init__(self, module: str, summary: str, quick: str | None = None) -> None:
        """Name the module, say what it does, and name what is asked first: `quick.run(words)`."""
        self.module = module
        self.summary = summary
        self.quick = quick


COMMANDS = {
    "login": Command("credbroker.cli.login", "log in with a browser, on this or another device"),
    "token": Command("credbroker.cli.token", "get a fresh access token", "credbroker.cli.quick"),
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
    "completion": Command(
        "credbroker.cli.completion", "print what lets a shell complete these commands"
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
        "prepare OpenBao, contain an incident, measure an issuer, go on after a restore",
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

_NEW_OBJECTS = 50_000
"""How many make the collector of cycles look: more than a command that ends soon has."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; `cli.exits` tells what each code means."""
    _open_missing_streams()
    _spare_the_collector()
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
    from credbroker.cli.failing import complain

    complain(f"credbroker: {fault}\n\n{_overview()}")
    return 2


def _spare_the_collector() -> None:
    """Have nobody look for garbage among modules that stay to the end, nor at the end: a fifth of the time."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)


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


def _run(name: str, arguments: list[str]) -> int:
    try:
        answered = _quickly(COMMANDS[name].quick, arguments)
        if answered is not None:
            return answered
        module = _module(name)
        if module is None:
            return 2
        args = _foreign(module, arguments) or parser_of(name, module).parse_args(arguments)
        offered: Any = module
        code: int = _called(lambda: offered.run(args), debug=args.debug)
        return code
    except KeyboardInterrupt:
        from credbroker.cli.failing import interrupted

        return interrupted()


def _quickly(quick: str | None, arguments: list[str]) -> int | None:
    """Return the exit code of what needed nothing but the quick part of a command; else None."""
    if quick is None:
        return None
    offered: Any = importlib.import_module(quick)
    code: int | None = _called(lambda: offered.run(arguments), debug=False)
    return code


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(COMMANDS[name].module)
    except ModuleNotFoundError as missing:
        from credbroker.cli.failing import complain

        complain(
            f"credbroker: {name} is not in this one-file program; it needs the whole of credbroker"
            f" (missing here: {missing.name})\n"
        )
        return None


def _foreign(module: ModuleType, arguments: list[str]) -> argparse.Namespace | None:
    """Return what the command makes of another program's words; None if these are its own."""
    reader = getattr(module, "read_foreign", None)
    foreign: argparse.Namespace | None = reader(arguments) if reader else None
    return foreign


def _called(deed: Callable[[], Any], *, debug: bool) -> Any:
    """Return what `deed` returns, once all of its answer is out; or the exit code of a failure."""
    try:
        try:
            return deed()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        from credbroker.cli.failing import unread

        return unread()
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence instead of a stack
        from credbroker.cli.failing import failed

        return failed(error, debug=debug)


def parser_of(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the parser of the command `name`, whose module is given."""
    import argparse

    from credbroker.cli.examples import share_example

    offered: Any = module
    example: str = getattr(module, "EXAMPLE", "")
    parser = argparse.ArgumentParser(
        prog=f"credbroker {name}",
        description=COMMANDS[name].summary[0].upper() + COMMANDS[name].summary[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    offered.add_arguments(parser)
    share_example(parser, example)
    parser.add_argument("--debug", action="store_true", help="show where in the program it failed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
