"""What the workers of one service ask each other: one text each, over sockets in the workers' folder.

- The folder is the service's own, readable by nobody else; the one who runs the workers names it to each
  by `CREDBROKER_WORKER`.
- Who asks waits a second at the most, and says how many did not answer. A text that was cut is none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WORKER = "CREDBROKER_WORKER"
"""The variable that holds a worker's place: a path in the workers' folder, without its suffix."""
ANSWER_SECONDS = 1.0

_LARGEST_BYTES = 16 << 20
_END = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Told:
    """What the others said, and how many of them said nothing."""

    texts: list[str] = field(default_factory=list)
    silent: int = 0


class Siblings:
    """The other workers, as one of them sees them."""

    def __init__(self, place: Path, all_places: Callable[[], list[Path]]) -> None:
        """Stand at `place` among all places that there are, our own among them."""
        self._place = place
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
        others = [one for one in self._all_places() if one != self._place]
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_text_of(one)) for one in sorted(others)]
        texts = [one.result() for one in asked]
        heard = [text for text in texts if text is not None]
        return Told(heard, len(texts) - len(heard))


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


def _socket(place: Path) -> str:
    return str(place.with_suffix(".numbers"))
