"""What the workers of one service ask each other: one text each, over sockets in the workers' folder.

- The folder is the service's own, readable by nobody else; the one who runs the workers names it to each
  by `CREDBROKER_WORKER`.
- Who asks waits a second at the most, and says how many did not answer. A text that was cut is none.
- What each said last lies in the folder, too: for the others while it says nothing, and for the worker that
  takes its place.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

WORKER = "CREDBROKER_WORKER"
"""The variable that holds a worker's place: a path in the workers' folder, without its suffix."""
ANSWER_SECONDS = 1.0

_LARGEST_BYTES = 16 << 20
_END = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Told:
    """What the others said, how many of them said nothing, and what these had said last."""

    texts: list[str] = field(default_factory=list)
    silent: int = 0
    kept: list[str] = field(default_factory=list)


class Siblings:
    """The other workers, as one of them sees them."""

    def __init__(self, place: Path, all_places: Callable[[], list[Path]]) -> None:
        """Stand at `place` among all places that there are, our own among them."""
        self._place = place
        self._kept = place.with_suffix(f".{os.getpid()}.kept")
        self._all_places = all_places

    @classmethod
    def named(cls, environ: Mapping[str, str] = os.environ) -> Siblings | None:
        """Return those that the environment names; None in a service without workers."""
        named = environ.get(WORKER)
        if not named:
            return None
        place = Path(named)
        # Each worker tells how it is through a socket that is there before the worker.
        return cls(place, lambda: [one.with_suffix("") for one in place.parent.glob("*.sock")])

    async def tell(self, text: Callable[[], bytes]) -> None:
        """Answer whoever asks, for ever."""

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text() + _END)
            try:
                await writer.drain()
            except ConnectionError:
                return  # it waits no longer
            finally:
                writer.close()

        async with await asyncio.start_unix_server(answer, _socket(self._place)) as server:
            await server.serve_forever()

    async def ask(self) -> Told:
        """Return what the others say within a second."""
        others = sorted(one for one in self._all_places() if one != self._place)
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_text_of(one)) for one in others]
        texts = [one.result() for one in asked]
        silent = [one for one, text in zip(others, texts, strict=True) if text is None]
        kept = [last.read_text() for one in silent for last in _kept_by(one)[-1:]]
        return Told([text for text in texts if text is not None], len(silent), kept)

    def keep(self, text: bytes) -> None:
        """Leave `text` as what we said last, if there is room for it."""
        fresh = self._kept.with_suffix(".fresh")
        with suppress(OSError):
            fresh.write_bytes(text)
            fresh.replace(self._kept)

    def before(self) -> str:
        """Return what was said last by the worker whose place we took; empty if none said anything."""
        kept = [one for one in _kept_by(self._place) if one != self._kept]
        for older in kept[:-1]:
            older.unlink()
        return kept[-1].read_text() if kept else ""


async def _text_of(place: Path) -> str | None:
    """Return what one says, None if it does not answer, or not to the end."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(
                _socket(place), limit=_LARGEST_BYTES
            )
            try:
                said = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return said.removesuffix(_END).decode() if said.endswith(_END) else None


def _kept_by(place: Path) -> list[Path]:
    """Return what was said last by each of those who stood there, the newest at the end."""
    written_at = {}
    for one in place.parent.glob(f"{place.name}.*.kept"):
        with suppress(FileNotFoundError):  # an older one, thrown away just now
            written_at[one] = one.stat().st_mtime_ns
    return sorted(written_at, key=written_at.__getitem__)


def _socket(place: Path) -> str:
    return str(place.with_suffix(".numbers"))
