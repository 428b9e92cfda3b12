"""What carries a notice to people: mail, or an operator's webhook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice in the forms that channels take it in; `id` is its own, the same in each try.

    `to` is a verified mail address, empty where there is none; `event` the same for programs.
    """

    id: str
    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    event: Mapping[str, object] = field(repr=False)


class LetterRefusedError(Exception):
    """The other side does not take this letter; others it may. `final` if it never will."""

    def __init__(self, why: str, *, final: bool) -> None:
        """Say `why` in a few words."""
        super().__init__(why)
        self.final = final


class Channel(Protocol):
    """A way to tell."""

    async def tell(self, letter: Letter) -> None:
        """Return once the other side has taken the letter.

        Raises `LetterRefusedError`, `NotSentError` if it was surely not told and no other letter
        would be now, and `NoAnswerError` if it may have been.
        """
