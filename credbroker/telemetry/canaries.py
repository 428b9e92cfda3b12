"""Plants secrets and proves that a run left them nowhere.

- What is looked at is kept until `report()`, so a secret planted later is found in what was
  captured before.
- No report is given by a search that is blind: each form of each planted secret is rehearsed,
  and a decoy is leaked into a scratch folder and an argument list; both must be seen.
- A file that cannot be read is an error, not a clean file. One that is gone meanwhile is no file.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from credbroker.telemetry.sightings import Search, Sighting, forms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DECOY = 'decoy/"quoted"+&=%-_~ätsch-0123456789-abcdefghijklmnopqrstuvwxyz'


class BlindSearchError(RuntimeError):
    """The search would not have seen a leak, so that it saw none means nothing."""


class Canaries:
    """Secrets planted in a run, and the places where none of them may be seen."""

    def __init__(self) -> None:
        """Begin with nothing planted and nothing looked at."""
        self._secrets: dict[str, str] = {}
        self._looked_at: list[tuple[str, bytes]] = []

    def plant(self, kind: str, value: str) -> None:
        """Look for `value` everywhere, before or after this call; `kind` names it for people."""
        self._secrets[value] = kind

    def search_text(self, where: str, content: bytes) -> None:
        """Look at something captured, such as an answer, an output or a log kept in memory."""
        self._looked_at.append((where, content))

    def search_folder(self, folder: Path, except_for: Iterable[Path | str] = ()) -> None:
        """Look at every file below `folder`, names included, but follow no symbolic link.

        Args:
            folder: An existing folder.
            except_for: Files and folders, absolute or seen from `folder`, where secrets may be.

        Raises:
            OSError: The folder, or a file in it, cannot be read.
        """
        folder = folder.absolute()
        self._looked_at.extend(_files_in(folder, {folder / path for path in except_for}))

    def search_arguments(self, pids: Iterable[int], *, environment: bool = True) -> None:
        """Look at the command lines, and environments, that these pids have now.

        A program shows them from its first own step on, which is a moment after it was started.

        Raises:
            OSError: An environment belongs to another user.
        """
        names = ("cmdline", "environ") if environment else ("cmdline",)
        self._looked_at.extend(_arguments_of(pids, names))

    def report(self) -> list[Sighting]:
        """Return every sighting, once; an empty list is proof, since the search was tried first.

        Raises:
            BlindSearchError: Nothing was planted, nothing was looked at, or a rehearsed leak
                was not seen.
        """
        if not self._secrets or not self._looked_at:
            raise BlindSearchError("Plant a secret and look somewhere before asking for a report.")
        search = Search((kind, value) for value, kind in self._secrets.items())
        if unseen := [*search.blind_spots(), *_unseen_decoys()]:
            raise BlindSearchError("These leaks would go unseen: " + "; ".join(map(str, unseen)))
        return _sightings(search, self._looked_at)

    def assert_unseen(self) -> None:
        """Return when no secret was seen anywhere.

        Raises:
            AssertionError: One was; the text tells kind, form and place of each.
            BlindSearchError: As `report()`.
        """
        if sightings := self.report():
            raise AssertionError("Secrets were seen:\n" + "\n".join(map(str, sightings)))


def _sightings(search: Search, places: Iterable[tuple[str, bytes]]) -> list[Sighting]:
    found = chain.from_iterable(search.find(content, where) for where, content in places)
    return list(dict.fromkeys(found))


def _unseen_decoys() -> list[Sighting]:
    """Leak a decoy into files and a command line, and look there as one looks anywhere else."""
    with TemporaryDirectory() as folder:
        leaks = _leak_into_files(Path(folder))
        places = list(_files_in(Path(folder), set()))
    with _leak_into_arguments() as pid:
        leaks |= {f"/proc/{pid}/{name}": "raw" for name in ("cmdline", "environ")}
        places += _arguments_of([pid], ("cmdline", "environ"))
    seen = {sighting.where for sighting in _sightings(Search([("decoy", _DECOY)]), places)}
    return [Sighting("decoy", form, where) for where, form in leaks.items() if where not in seen]


def _leak_into_files(folder: Path) -> dict[str, str]:
    deep = folder / "below"
    deep.mkdir()
    for form, leak in forms_of(_DECOY).items():
        (deep / form).write_bytes(leak)
    return {str(deep / form): form for form in forms_of(_DECOY)}


@contextmanager
def _leak_into_arguments() -> Iterator[int]:
    """Run a program that waits for its input, with a decoy as its second file and a variable."""
    command = ("/bin/cat", "-", _DECOY)
    variables = {**os.environ, "DECOY": _DECOY}
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603  # a fixed program; nothing here comes from outside
        command, stdin=pipe, stdout=pipe, stderr=nowhere, env=variables, bufsize=0
    ) as cat:
        assert cat.stdin
        assert cat.stdout
        cat.stdin.write(b"?")
        cat.stdout.read(1)  # only a program that runs shows its arguments
        yield cat.pid


def _files_in(folder: Path, excepted: set[Path]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        if path in excepted:
            continue
        with suppress(FileNotFoundError):
            yield str(path), _content(path)
            if path.is_dir() and not path.is_symlink():
                yield from _files_in(path, excepted)


def _arguments_of(pids: Iterable[int], names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in (Path(f"/proc/{pid}/{name}") for pid in pids for name in names):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield str(path), path.read_bytes()


def _content(path: Path) -> bytes:
    """Return a file's bytes or a link's target; anything else has a name and nothing more."""
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return path.read_bytes() if path.is_file() else b""
