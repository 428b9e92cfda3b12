"""Asks a server over and over by `wrk`, whose requests a Lua script says that is written here.

`wrk` is one thread on one core of its own and keeps its connections; an answer that is not a success
spoils the figure, so it raises.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.machine import busy_seconds, cpu_seconds
from bench.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONNECTIONS = 16

_ALIKE = """\
wrk.method = {method}
wrk.body = {body}
{headers}
"""
# Each answer brings the token to show next; the order of requests is that of answers. One value more
# than there are connections, since wrk makes a first request for itself, which it never sends.
_CHAINED = """\
local shown, first, last = {{ {tokens} }}, 1, {count}
function request()
  local token = shown[first]
  shown[first], first = nil, first + 1
  return wrk.format(nil, nil, nil, {body} .. token)
end
function response(status, headers, body)
  last = last + 1
  shown[last] = string.match(body, '"refresh_token":"([^"]+)"')
end
"""
_DONE = """\
function done(summary)
  local e = summary.errors
  io.write(string.format('{"answers":%d,"microseconds":%d,"bad":%d,"broken":%d}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


class ProgramMissing(Exception):
    """A program that a scenario needs is not there; the sentence says what to install."""


@dataclass(frozen=True)
class Request:
    """What to ask for over and over; a `body` is posted as a form.

    With `chain`, the body lacks its refresh token: each value is shown once, and the answer has the next.
    """

    url: str
    headers: Mapping[str, str]
    body: str = ""
    chain: Sequence[str] = ()

    def script(self) -> str:
        """Return the Lua that asks for this."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if self.body else {}
        headers = "\n".join(
            f"wrk.headers[{_lua(name)}] = {_lua(value)}"
            for name, value in {**self.headers, **kind}.items()
        )
        method = "POST" if self.body else "GET"
        script = _ALIKE.format(
            method=_lua(method), body=_lua(self.body) if self.body else "nil", headers=headers
        )
        if self.chain:
            tokens = ", ".join(map(_lua, self.chain))
            script += _CHAINED.format(tokens=tokens, count=len(self.chain), body=_lua(self.body))
        return script + _DONE


def check_there(*programs: str) -> None:
    """Raise `ProgramMissing` unless all of these can be run."""
    for program in programs:
        if shutil.which(program) is None:
            raise ProgramMissing(f"{program} is not installed (Debian: apt install {program}).")


async def ask(
    request: Request,
    folder: Path,
    cores: Sequence[int],
    seconds: float,
    pid: int,
    *,
    connections: int = CONNECTIONS,
) -> Pace:
    """Ask for so long, from `cores`, on so many connections; count the CPU time of the program `pid` as "server".

    What all programs together took of these cores is counted as "cores".
    Raises `RuntimeError` if an answer was no success.
    """
    script = folder / "wrk.lua"
    await asyncio.to_thread(script.write_text, request.script())
    before, busy_before = cpu_seconds(pid), busy_seconds(cores)
    said = await _run(
        "taskset", "-c", ",".join(map(str, cores)),
        "wrk", "--threads", "1", "--connections", str(connections),
        "--duration", f"{round(seconds)}s", "--script", str(script), request.url,
    )  # fmt: skip
    seen = json.loads(said.splitlines()[-1])
    if seen["bad"] or seen["broken"] or not seen["answers"]:
        raise RuntimeError(f"Not every answer of {urlsplit(request.url).path} was good: {seen}")
    cpu = {"server": cpu_seconds(pid) - before, "cores": busy_seconds(cores) - busy_before}
    return Pace(seen["answers"], seen["microseconds"] / 1e6, cpu)


async def _run(*words: str) -> str:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *words, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"wrk failed:\n{said.decode(errors='replace')}")
    return said.decode()


def _lua(text: str) -> str:
    return json.dumps(text)  # of these characters Lua reads the same
