"""What a daemon's process runs on: its event loop, and who takes turns with it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable

# A thread that comes back from the disk, or from a signature, waits so long for a busy loop. At the
# interpreter's own 5 ms a line of the audit trail would wait for three of these before it is answered.
HAND_OVER_SECONDS = 0.0005
# Nearly nothing here is a cycle; at 700 objects the collector looks at each batch of tokens several times.
COLLECT_AFTER = (10_000, 20, 50)


def quick_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's loops where that is installed; None for the library's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def collect() -> None:
    """Give back now what only a cycle holds: the collector might not look for as long as we run."""
    gc.collect()


def take_turns() -> None:
    """Have threads, and the collector of cycles, take turns as befits a process that serves for long."""
    sys.setswitchinterval(HAND_OVER_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)
