"""Waits for something, but not for longer than it is said."""

from __future__ import annotations

import asyncio
from typing import Any

from credbroker.ports import Clock


async def is_done(task: asyncio.Future[Any], seconds: float, clock: Clock) -> bool:
    """Return whether a task is over, having waited `seconds` for it at the most; it goes on."""
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        limit.cancel()
    return task.done()


async def nap(seconds: float, clock: Clock, *, until: asyncio.Event) -> None:
    """Return after so many seconds, or as soon as the event is set."""
    told = asyncio.ensure_future(until.wait())
    try:
        await is_done(told, seconds, clock)
    finally:
        told.cancel()
