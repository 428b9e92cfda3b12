"""The targets, and what each begins with: the files of `corpus/<target>`, texts between `=====`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

TARGETS = ("facade", "readers")
# By name: nothing of the broker is imported before atheris can watch it.
FAULTS = ("echo", "path", "absent")
_CORPUS = Path(__file__).parent / "corpus"
TRICKS = _CORPUS / "tricks.dict"
_BETWEEN = b"\n=====\n"


def opened(target: str) -> AbstractContextManager[Callable[[bytes], None]]:
    """Return a target, which takes one input after the other while it is open."""
    if target == "facade":
        from tests.fuzz.facade import Facade

        return Facade()
    from tests.fuzz.readers import Readers

    return Readers()


def texts_of(target: str) -> list[bytes]:
    """Return what the target begins with."""
    files = sorted((_CORPUS / target).iterdir())
    return [text for file in files for text in _texts(file)]


def _texts(file: Path) -> list[bytes]:
    """Return a file of texts taken apart; any other is one input as it was found."""
    content = file.read_bytes()
    return content.removesuffix(b"\n").split(_BETWEEN) if file.suffix == ".txt" else [content]
