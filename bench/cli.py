"""`credbroker token` as whole programs, beside Python that does nothing and htgettoken's own help."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.edge_point import CHANCE_BYTES, clock, entropy, opened
from bench.edge_server import ISSUER, LIFE, SCOPE
from bench.results import Claim, Figure, figure
from bench.rounds import Rounds, alternate
from bench.wrk import ProgramMissing
from credbroker import zipapp
from credbroker.delivery import lease_file
from credbroker.delivery.lease_file import LeaseFile
from credbroker.domain.leases import LeaseToken
from credbroker.domain.secret import Secret
from tests.interop.htgettoken.install import PACKAGED, install, missing_program

if TYPE_CHECKING:
    from bench.edge_point import Point

_INSTALLED = Path(__file__).parents[1] / ".pytest_cache" / "d" / f"htgettoken-{PACKAGED}"
"""Where the tests have theirs, so that it is installed once."""

_NOTHING = (
    "The peer is `python -c pass` in the same environment. Nobody reads on a terminal; the programs'"
    " files are in memory, and their modules compiled."
)
_HELP = "The peer is `htgettoken --help`, which asks nobody either."
FROM_FILE = Claim("cli", "a good token from its file", "at most", 3.0, "milliseconds", _NOTHING)
FROM_FILE_PYZ = Claim(
    "cli", "a good token from its file, by credbroker.pyz", "at most", 3.0, "milliseconds",
    f"{_NOTHING} The one-file program runs under `python -I -S` and compiles what it loads anew.",
)  # fmt: skip
BESIDE_HELP = Claim(
    "cli", "a good token from its file, against htgettoken", "at most", 0.2, "milliseconds", _HELP
)
FROM_SERVER = Claim(
    "cli", "a token from a server, against htgettoken", "at most", 0.35, "milliseconds",
    f"{_HELP} Ours connects by TLS to a server on this machine that answers at once, checks the"
    " token that comes, and leaves it in its file, on disk.",
)  # fmt: skip


async def take(folder: Path, quick: bool) -> list[Figure]:
    """Run all of them in turn, many times. Raises `ProgramMissing`."""
    missing = missing_program()
    if missing is not None:
        raise ProgramMissing(missing)
    htgettoken = await asyncio.to_thread(install, PACKAGED, _INSTALLED) / "htgettoken"
    async with opened(folder / "point", 0, 0) as point:
        home = _Home(folder / "home", point)
        sides = {
            "nothing": [sys.executable, "-c", "pass"],
            "help": [str(htgettoken), "--help"],
            "file": [*home.script, "token"],
            "file, pyz": [*home.pyz, "token"],
            "server": [*home.script, "token", "--fresh"],
            "server, pyz": [*home.pyz, "token", "--fresh"],
        }
        await asyncio.to_thread(home.furnish)
        runs = {name: partial(home.milliseconds, words) for name, words in sides.items()}
        await alternate(runs, 1)  # so that all is compiled and in memory
        taken = await alternate(runs, 5 if quick else 40)
    rounds = {name: tuple(seen) for name, seen in taken.items()}
    beside = {"by credbroker.pyz": median(rounds["server, pyz"])}
    return [
        figure(FROM_FILE, Rounds(rounds["file"], rounds["nothing"])),
        figure(FROM_FILE_PYZ, Rounds(rounds["file, pyz"], rounds["nothing"])),
        figure(BESIDE_HELP, Rounds(rounds["file"], rounds["help"])),
        figure(FROM_SERVER, Rounds(rounds["server"], rounds["help"]), beside),
    ]


class _Home:
    """Where a person is logged in, at the server of `point`."""

    def __init__(self, folder: Path, point: Point) -> None:
        """Name what will be below `folder`."""
        self._folder, self._point = folder, point
        self._archive = folder / "credbroker.pyz"
        self._environ = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "CREDBROKER_CA_FILE": str(point.ca_file),
        }
        self.script = [str(Path(sys.executable).with_name("credbroker"))]
        self.pyz = [sys.executable, "-I", "-S", str(self._archive)]

    def furnish(self) -> None:
        """Make the home with its login and its first token."""
        self._folder.mkdir()
        zipapp.build(self._archive)
        lease_file.make_leases_folder(self._environ, entropy)
        secret = Secret("lease", entropy.token(32))
        lease = LeaseFile(
            broker=f"https://127.0.0.1:{self._point.port}",
            lease_token=LeaseToken(entropy.token(CHANCE_BYTES), secret).text(),
            issuer="wlcg",
            issuer_url=ISSUER,
            role="default",
            credkey="ada",
            scopes=["openid", "offline_access", SCOPE],
            lease_ends_at=clock.now() + 10 * LIFE,
        )
        path = lease_file.person_path(self._environ, lease.issuer, lease.role)
        lease_file.write(path, lease, entropy)
        self._run([*self.script, "token"])

    async def milliseconds(self, words: list[str]) -> float:
        """Run a program to its end; return how long that took."""
        began = clock.elapsed()
        await asyncio.to_thread(self._run, words)
        return 1000 * (clock.elapsed() - began)

    def _run(self, words: list[str]) -> None:
        subprocess.run(words, env=self._environ, capture_output=True, check=True)
