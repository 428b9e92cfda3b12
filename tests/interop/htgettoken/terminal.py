"""A terminal that nobody looks at: a program inside believes it talks to a person.

- All that is written to it is kept, from the first byte; nothing is ever typed into it.
"""

from __future__ import annotations

import os
import threading
from typing import Self

_AT_ONCE = 4096


class Terminal:
    """One pseudo-terminal.

    Attributes:
        inside: The end that a program gets as its standard streams.
    """

    def __init__(self) -> None:
        """Open both ends."""
        self._outside, self.inside = os.openpty()
        self._written = b""
        self._reader = threading.Thread(target=self._read, name="terminal")

    def __enter__(self) -> Self:
        """Begin to take in what is written."""
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it; all that was written is in `text`."""
        os.close(self.inside)
        self._reader.join()
        os.close(self._outside)

    @property
    def text(self) -> str:
        """What was written so far."""
        return self._written.decode(errors="replace").replace("\r\n", "\n")

    def _read(self) -> None:
        try:
            while chunk := os.read(self._outside, _AT_ONCE):
                self._written += chunk
        except OSError:  # how the last end inside being closed shows
            return
