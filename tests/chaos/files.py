"""`python -m tests.chaos.files`: one token file, renewed a hundred thousand times, read all the while.

One process renews, under any umask, and is killed again and again; its calls fail with ENOSPC and EIO,
and where this runs as root its disk is really full at times. Another reads in a tight loop, and none
of what it finds may be wrong; what a killed writer leaves behind must be private.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from credbroker.host.clock import SystemClock
from tests.chaos.dice import Dice
from tests.chaos.file_planted import BUGS
from tests.chaos.file_reader import Reader
from tests.chaos.file_writer import RENEWAL, Diary, owner_of_file, renew, token_of, write

# 16 pages: full at once, and with room for a token and its successor.
_SMALL_DISK = 'mount -t tmpfs -o size=64k,mode=0700 tmpfs "$0" && exec "$@"'
_LONGEST_LIFE_SECONDS = 0.4

clock = SystemClock()


def main() -> int:
    """Take part in `make chaos`; 0 if the reader saw nothing wrong."""
    args = _arguments()
    if args.folder is None:
        with tempfile.TemporaryDirectory(prefix="credbroker-files-") as folder:
            return _on_a_small_disk(Path(folder))
    if args.plant:
        BUGS[args.plant]()
    diary = Diary(args.folder.parent / "diary")
    _play(args, diary)
    counted = diary.counted()
    for line, times in sorted(counted.items()):
        print(f"{times:8} {line}" if times > 1 else f"{'':8} {line}")
    return 1 if any(line.startswith("wrong") for line in counted) else 0


def _on_a_small_disk(folder: Path) -> int:
    """Run all of this again on a disk that can be filled, if there may be one."""
    disk = folder / "disk"
    disk.mkdir()
    again = [sys.executable, "-m", "tests.chaos.files", *sys.argv[1:], "--folder", str(disk)]
    small = ["unshare", "-m", "sh", "-c", _SMALL_DISK, str(disk)]
    if os.geteuid() == 0 and not subprocess.run([*small, "true"], check=False).returncode:
        return subprocess.run([*small, *again, "--small"], check=False).returncode
    print("No disk can be filled here; its errors are made up alone.")
    return subprocess.run(again, check=False).returncode


def _play(args: argparse.Namespace, diary: Diary) -> None:
    path, dice = args.folder / "token", Dice(args.seed)
    write(path, token_of(0), dice, diary)
    reader = _forked(Reader(path, diary).read_on)
    begun = 0
    while begun < args.count:
        numbers, chance = range(begun + 1, args.count + 1), Dice(args.seed + begun)
        writer = _forked(lambda: renew(path, diary, chance, numbers, small=args.small))  # noqa: B023
        if dice.fraction() < 0.3:
            clock.block(dice.fraction() * _LONGEST_LIFE_SECONDS)
            os.kill(writer, signal.SIGKILL)
        _, status = os.waitpid(writer, 0)
        if os.WIFSIGNALED(status):
            diary.note("killed, by itself or from outside")
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            diary.note("wrong: the writer failed")
            break
        begun = diary.counted()[RENEWAL]
        _tidy(path, diary)
    os.kill(reader, signal.SIGTERM)
    os.waitpid(reader, 0)


def _tidy(path: Path, diary: Diary) -> None:
    """Take away what a killed writer left; it is nobody else's to read."""
    for left in path.parent.iterdir():
        if left == path:
            continue
        found = left.stat()
        owners = {os.geteuid(), (owner_of_file() or (os.geteuid(),))[0]}
        if found.st_mode & 0o077 or found.st_uid not in owners:
            diary.note(f"wrong: left behind with mode {found.st_mode:o}")
        diary.note("left behind, private")
        left.unlink()


def _forked(deed: Callable[[], None]) -> int:
    """Do something in a process of its own; return its id."""
    child = os.fork()
    if child:
        return child
    try:
        deed()
        os._exit(0)
    except BaseException as fault:  # noqa: BLE001 - the parent is told by the exit status
        print(repr(fault), file=sys.stderr, flush=True)
        os._exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.files", description=main.__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many renewals")
    parser.add_argument("--seed", type=int, default=1, help="decides what fails when")
    parser.add_argument("--plant", choices=sorted(BUGS), help="a bug that must be found")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
