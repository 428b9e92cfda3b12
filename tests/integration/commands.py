"""Runs credbroker's commands as operators do: each a program of its own."""

from __future__ import annotations

import asyncio
import os
import sys


async def run(*words: str) -> tuple[int, str, str]:
    """Run the program with nothing but a path around it; return its exit code and what it wrote.

    What it wrote comes as two texts: standard output and standard error.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "credbroker", *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath},
    )  # fmt: skip
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()
