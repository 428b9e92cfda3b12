"""What machine this is, how busy it is, and what a program on it has used."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_IDLE, _IOWAIT = 3, 4  # proc_stat(5), of what stands behind a core's name
_UTIME = 11  # behind the command's name: proc_pid_stat(5) fields 14 and 15 count from the id


@dataclass(frozen=True)
class Machine:
    """The machine that a figure was taken on."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str


def this_machine() -> Machine:
    """Return what this machine is."""
    return Machine(
        processor=_line("/proc/cpuinfo", "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        kernel=platform.release(),
        python=f"{platform.python_version()} ({'the' if is_the_systems() else 'not the'} system's)",
    )


def is_the_systems() -> bool:
    """Return whether this Python is the distribution's, which builds it for speed and with which we are installed."""
    return sys.base_prefix == "/usr"


def load() -> float:
    """Return how many tasks wanted to run, on the average of the last minute."""
    return round(os.getloadavg()[0], 2)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a running program has used, all its threads', to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _TICKS


def busy_seconds(cores: Iterable[int]) -> float:
    """Return for how long these cores were busy since boot, all together, with whatever."""
    names = {f"cpu{core}" for core in cores}
    busy = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counted = line.split()
        if name in names:
            # What a guest takes stands at the end, and is counted in what stands before.
            spent = list(map(int, counted[:8]))
            busy += sum(spent) - spent[_IDLE] - spent[_IOWAIT]
    return busy / _TICKS


def own_cpu_seconds() -> float:
    """Return the CPU time that this program has used, to the microsecond."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes(pid: int) -> int:
    """Return how much of a running program is in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
