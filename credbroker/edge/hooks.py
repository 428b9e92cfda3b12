"""Tells programs that their token file has changed: runs a command, or sends a signal.

A hook that fails or hangs is an error of its own order; it never holds up another's for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.orders import Hook
from credbroker.edge.waiting import is_done
from credbroker.ports import Clock

HOOK_SECONDS = 30.0
"""How long a command may take; then it is killed, with what it has started."""
_AT_ONCE = 8
_LONGEST_PID = 7


class Hooks:
    """Runs hooks, a few at a time."""

    def __init__(self, clock: Clock) -> None:
        """Wait by `clock`."""
        self._clock = clock
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, hook: Hook) -> None:
        """Tell whom the hook names. Raises `LocalFileUnfit` if that did not work."""
        async with self._places:
            if hook.command:
                await self._command(hook.command)
            if hook.pid_file is not None:
                _send(hook.signal, hook.pid_file)

    async def _command(self, words: tuple[str, ...]) -> None:
        try:
            started = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as failure:
            raise _unfit(words[0], f"cannot be run: {failure.strerror}") from None
        ended = asyncio.ensure_future(started.wait())
        try:
            in_time = await is_done(ended, HOOK_SECONDS, self._clock)
        finally:
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(started.pid, signal.SIGKILL)
            await ended
        if not in_time:
            raise _unfit(words[0], f"did not end within {HOOK_SECONDS:.0f} s and was killed")
        if started.returncode != 0:
            raise _unfit(words[0], f"ended with {started.returncode}")


def _send(number: int, pid_file: Path) -> None:
    content = whole_file.read(pid_file, private=False)
    text = (content or b"").strip()
    # 0 stands for many programs at once, and 1 is everybody's parent.
    if not text.isdigit() or len(text) > _LONGEST_PID or int(text) <= 1:
        raise LocalFileUnfit(f"{pid_file} names no program to tell of the new token.")
    try:
        os.kill(int(text), number)
    except OSError as failure:
        raise LocalFileUnfit(
            f"The program that {pid_file} names cannot be sent a signal: {failure.strerror}."
        ) from None


def _unfit(command: str, why: str) -> LocalFileUnfit:
    return LocalFileUnfit(f"The file is new, but the hook {command} {why}.", "Mend the hook.")
