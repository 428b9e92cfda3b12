"""Runs a part of a measurement in a program of its own, which begins with a memory of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def ask_child(module: str, *words: object) -> dict[str, Any]:
    """Run `python -m module words...` and return the JSON object in the last line it prints."""
    return await _ask_child([module, *map(str, words)])


async def tell_child(module: str, told: object) -> dict[str, Any]:
    """Run `python -m module` with `told` as JSON on its standard input; return as `ask_child`."""
    return await _ask_child([module], json.dumps(told).encode())


async def _ask_child(words: list[str], told: bytes = b"") -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, stdin=pipe, stdout=pipe, stderr=pipe
    )
    said, complained = await child.communicate(told)
    if child.returncode:
        raise RuntimeError(f"{words[0]} failed:\n{complained.decode(errors='replace')}")
    seen: dict[str, Any] = json.loads(said.splitlines()[-1])
    return seen
