"""Runs a part of a measurement in a program of its own, which begins with a memory of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def ask_child(module: str, *words: object) -> dict[str, Any]:
    """Run `python -m module words...` and return the JSON object in the last line it prints."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, words), stdout=pipe, stderr=pipe
    )
    said, complained = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{module} failed:\n{complained.decode(errors='replace')}")
    seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    return seen
