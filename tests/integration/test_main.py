"""The one program: finds its commands, and says in a sentence what went wrong."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from typing import TYPE_CHECKING

import pytest

from credbroker import __main__, __version__
from credbroker.__main__ import COMMANDS, Command, main
from credbroker.domain.errors import LeaseEnded, LoginNeeded
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

OWN = ("login", "token", "status", "logout", "job", "deliver", "agent")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[object], int]], None]:
    """Put a command named `try` there that does what the test says."""

    def put(deed: Callable[[object], int]) -> None:
        module = types.ModuleType("credbroker.tried")
        module.__dict__.update(add_arguments=lambda _: None, run=deed)
        monkeypatch.setitem(sys.modules, "credbroker.tried", module)
        monkeypatch.setitem(COMMANDS, "try", Command("credbroker.tried", "try something"))

    return put


def raising(error: BaseException) -> Callable[[object], int]:
    """Return a command that fails with `error`."""

    def deed(_: object) -> int:
        raise error

    return deed


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it does; on standard output, since it was asked for."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    width = max(map(len, COMMANDS))
    for name, one in COMMANDS.items():
        assert f"  {name:<{width}} {one.summary}\n" in shown


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """As scripts want it."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"credbroker {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["fetch"]])
def test_an_unknown_command_gets_the_list(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, with exit code 2."""
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "  login         log in with a browser" in shown.err


@pytest.mark.parametrize("name", OWN)
def test_each_commands_help_ends_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something to copy and change."""
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    last = capsys.readouterr().out.strip().rpartition("\n\n")[2]
    assert last.startswith("example")
    assert f"credbroker {name}" in last


def test_a_command_loads_nothing_it_does_not_need() -> None:
    """The overview loads no other room, a person's command no daemon."""
    watch = "import sys; from credbroker.__main__ import main; main([{}]); print(*sys.modules)"
    for arguments, absent in (
        ("'--version'", {"ssl", "argparse.x", "credbroker.cli", "credbroker.client", "asyncio"}),
        ("'status'", {"aiohttp", "hvac", "yaml", "credbroker.edge", "credbroker.daemon", "segno"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", watch.format(arguments)],
            capture_output=True,
            text=True,
            check=True,
            env={"HOME": "/nonexistent"},
        )
        loaded = set(done.stdout.split())
        assert not absent & loaded


def test_an_absent_part_is_said_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in credbroker.pyz, which has no daemon."""
    monkeypatch.setitem(COMMANDS, "serve", Command("credbroker.not_there", "run the broker"))
    assert main(["serve"]) == 2
    shown = capsys.readouterr().err
    assert "serve is not in this one-file program" in shown


def test_a_failure_is_one_sentence_with_remedy_and_request(
    command: Callable[[Callable[[object], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says whose turn it is; control characters do not get through."""
    error = LoginNeeded("The issuer\x1b[2J ended it.", "Log in again.")
    error.request_id = "abc"
    command(raising(error))
    assert main(["try"]) == 4
    assert capsys.readouterr().err == (
        "credbroker: The issuer?[2J ended it. Log in again. (request abc)\n"
    )


def test_debug_shows_where_but_no_secret(
    command: Callable[[Callable[[object], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret that got into an error by mistake still hides itself."""
    command(raising(LeaseEnded(f"{Secret('access token', 'hunter2')} is over.")))
    assert main(["try", "--debug"]) == 4
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "hunter2" not in shown


def test_the_unforeseen_is_a_sentence_without_foreign_text(
    command: Callable[[Callable[[object], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; the text of an error nobody planned is not shown."""
    command(raising(ValueError("hunter2")))
    assert main(["try"]) == 1
    shown = capsys.readouterr().err
    assert "unforeseen went wrong (ValueError)" in shown
    assert "hunter2" not in shown
    assert "Traceback" not in shown


def test_breaking_off_has_its_own_exit_code(
    command: Callable[[Callable[[object], int]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """130, as shells have it."""
    command(raising(KeyboardInterrupt()))
    assert main(["try"]) == 130
    assert capsys.readouterr().err == "\ncredbroker: stopped\n"


def test_a_commands_own_code_is_passed_on(
    command: Callable[[Callable[[object], int]], None],
) -> None:
    """As `status` uses it."""
    command(lambda _: 3)
    assert main(["try"]) == 3
    assert __main__.COMMANDS["try"].module == "credbroker.tried"


TRY = """
import os, sys, types
module = types.ModuleType("credbroker.tried")
exec({body!r}, module.__dict__)
sys.modules["credbroker.tried"] = module
from credbroker.__main__ import COMMANDS, Command, main
COMMANDS["try"] = Command("credbroker.tried", "try something")
sys.exit(main({arguments}))
"""
REFUSED = """
from credbroker.domain.errors import LoginNeeded
def add_arguments(parser): pass
def run(args): raise LoginNeeded("You are not logged in.")
"""
ANSWERED = """
def add_arguments(parser): pass
def run(args):
    for _ in range(100_000): print("an answer")
    return 0
"""


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "code"), [(["try"], 4), (["try", "--debug"], 4), (["fetch"], 2), ([], 2)]
)
def test_a_complaint_nobody_can_read_changes_no_exit_code(
    stderr: str, arguments: list[str], code: int
) -> None:
    """Standard error is closed, or its disk is full: scripts still learn what kind of failure it is."""
    program = TRY.format(body=REFUSED, arguments=arguments)
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {stderr}', sys.executable, program], check=False
    )
    assert done.returncode == code


def test_an_answer_nobody_reads_to_its_end_is_no_complaint() -> None:
    """As with `credbroker status | head -1`."""
    program = TRY.format(body=ANSWERED, arguments=["try"])
    command = '{ "$0" -c "$1"; echo "code $?" >&2; } | head -1'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, program],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("an answer\n", "code 1\n")


def test_breaking_off_while_a_command_is_loaded_is_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a slow file system that is where the time goes."""

    def slow(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", slow)
    assert main(["status"]) == 130
    assert capsys.readouterr().err == "\ncredbroker: stopped\n"
