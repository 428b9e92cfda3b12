"""Says what is waited for, once that takes longer than a second; on a terminal, and nowhere else.

The line is rewritten each second and is gone when the wait is over.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Callable, Iterator, Optional, TextIO

from credbroker.cli.terminal import ERASE_LINE

if TYPE_CHECKING:
    import threading

TICK_SECONDS = 1.0
Wait = Callable[["threading.Event", float], bool]
"""Waits for an event, so many seconds at the most; says whether it came."""


@contextlib.contextmanager
def progress(err: TextIO, what: str, wait: Optional[Wait] = None) -> Iterator[None]:
    """Tell on `err`, if it is a terminal, that `what` is waited for, during a `with` block."""
    if not err.isatty():
        yield
        return
    import threading  # where nobody looks, nobody waits for it to load

    over = threading.Event()
    waits = wait or threading.Event.wait
    teller = threading.Thread(target=_tell, args=(err, what, over, waits), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(err: TextIO, what: str, over: threading.Event, wait: Wait) -> None:
    seconds = 0
    with contextlib.suppress(OSError, ValueError):  # a terminal that is gone stops nobody
        while not wait(over, TICK_SECONDS):
            seconds += 1
            err.write(f"{ERASE_LINE}{what} {seconds} s ... ")
            err.flush()
        if seconds:
            err.write(ERASE_LINE)
            err.flush()
