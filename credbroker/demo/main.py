"""`credbroker demo`: the whole of it on this machine, in about a minute, with a proof at the end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from credbroker.demo.openbao import OpenBaoError
from credbroker.demo.report import Report
from credbroker.demo.stage import ALICE, Stage, StageError
from credbroker.demo.story import Story
from credbroker.domain.errors import LocalFileUnfit
from credbroker.host.clock import SystemClock
from credbroker.host.entropy import SystemEntropy

EXAMPLE = """\
example:
  credbroker demo --report demo-report.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the figures as one JSON object"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running and say what to try"
    )


def run(args: argparse.Namespace) -> int:
    """Play the demo; 0 if it proved what it says, 1 if not.

    Raises `LocalFileUnfit` before anything is started if the report could not be written.
    """
    if args.report is not None:
        _make_room(args.report)
    folder = Path(tempfile.mkdtemp(prefix="credbroker-demo-"))
    try:
        stage = Stage(folder, SystemClock(), SystemEntropy())
        report = asyncio.run(play(stage, args.report, keep=args.keep))
    except (StageError, OpenBaoError) as error:
        sys.stderr.write(f"credbroker: {error}\n")
        return 1
    except asyncio.CancelledError:
        shutil.rmtree(folder)
        raise KeyboardInterrupt from None  # everything has been ended
    if not report.good:
        for shortcoming in report.shortcomings():
            sys.stderr.write(f"credbroker: {shortcoming}\n")
        sys.stderr.write(f"credbroker: the demo did not hold; its logs are in {folder / 'logs'}\n")
        return 1
    shutil.rmtree(folder)
    return 0


async def play(stage: Stage, report_file: Path | None, *, keep: bool) -> Report:
    """Play the demo on `stage`, show its figures, and end all that was started.

    With `keep` that end comes with Ctrl-C. Once it has begun, no signal breaks it off. Raises
    `StageError` or `OpenBaoError`.
    """
    clock = stage.clock
    started = clock.elapsed()

    def say(line: str) -> None:
        sys.stdout.write(f"{clock.elapsed() - started:6.1f} s  {line}\n")
        sys.stdout.flush()

    playing = asyncio.current_task()
    assert playing is not None
    _on_signals(playing.cancel)
    try:
        report = await Story(stage, say).play(log_out=not keep)
        _show(report, report_file)
        if keep:
            await _keep(stage)
    finally:
        _on_signals(lambda: None)
        await stage.close()
    return report


def _on_signals(deed: Callable[[], object]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, deed)


def _make_room(report_file: Path) -> None:
    """See that a report can be written there, and leave none of an earlier run."""
    try:
        report_file.write_text("")
        if report_file.is_file() and not report_file.is_symlink():  # /dev/stdout must stay
            report_file.unlink()
    except OSError as failure:
        raise LocalFileUnfit(f"{report_file} cannot be written: {failure.strerror}.") from None


def _show(report: Report, file: Path | None) -> None:
    if file is not None:
        file.write_text(report.as_json())
    width = max(len(name) for name, _ in report.rows())
    lines = [f"  {name.ljust(width)}  {value}" for name, value in report.rows()]
    verdict = (
        "The refresh token was seen by the issuer, by the broker and by OpenBao; nowhere else."
        if report.refresh_token_found_outside == 0
        else "The refresh token was found where it must not be: see above."
    )
    sys.stdout.write("\n" + "\n".join(lines) + f"\n\n{verdict}\n")


async def _keep(stage: Stage) -> None:
    """Say what to try, let the issuer go away and come back at each SIGUSR1, until told to stop."""
    sys.stdout.write(_what_to_try(stage))
    sys.stdout.flush()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    with contextlib.suppress(asyncio.CancelledError):
        for goes in itertools.cycle((True, False)):
            await told.wait()
            told.clear()
            await (stage.issuer.go_dark() if goes else stage.issuer.come_back())
            sys.stdout.write("The issuer is away.\n" if goes else "The issuer is back.\n")
            sys.stdout.flush()
    sys.stdout.write("\nEnding everything.\n")


def _what_to_try(stage: Stage) -> str:
    """Leave what another terminal needs in a file, and say how to use it."""
    given = stage.environment() | {
        "CREDBROKER_DEMO": str(stage.folder),
        "CREDBROKER_DEMO_PID": str(os.getpid()),
    }
    names = [one for one in given if one.startswith(("CREDBROKER_", "XDG_"))]
    exports = stage.folder / "environment"
    exports.write_text("".join(f"export {name}={shlex.quote(given[name])}\n" for name in names))
    program = "credbroker" if shutil.which("credbroker") else Path(sys.argv[0]).absolute()
    return f"""
Everything still runs, below {stage.folder}. In another terminal:

  . {shlex.quote(str(exports))}
  {program} status
  {program} token --minimum 5 --scope storage.read:/home --audience https://se.example.org
  {program} logout
  {program} login demo      # sign in as {ALICE.name}, password {ALICE.password}
  kill -USR1 $CREDBROKER_DEMO_PID      # the issuer goes away; once more, and it is back

docs/tutorial.md is a walk through all of it. Press Ctrl-C here to end it all.
"""
