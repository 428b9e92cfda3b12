"""Serves a peer that is an aiohttp application: plain HTTP on 127.0.0.1, at the port in its first word.

What it needs comes as JSON on standard input; "{}" goes out once it answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from aiohttp import web

from credbroker.host.loop import quick_loop

if TYPE_CHECKING:
    from collections.abc import Callable


def serve_peer(build: Callable[[Any], web.Application]) -> None:
    """Serve what `build` makes of the JSON that was given, until this process is ended.

    With the second word `quick` on the loop that `serve` takes, else on the library's own.
    """
    port, given = int(sys.argv[1]), json.load(sys.stdin)
    loop = quick_loop() if sys.argv[2:] == ["quick"] else None
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(port, build, given))


async def _serve(port: int, build: Callable[[Any], web.Application], given: Any) -> None:
    runner = web.AppRunner(build(given), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("{}", flush=True)
    await asyncio.Event().wait()
