"""Deeds at a storage under tokens of all kinds, always the same ones, for comparing two verdicts.

The paths are of few names, some the beginning of others, so that many tokens nearly cover a file.
Each case has a file of its own, so the order in which they are tried does not matter.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from credbroker.domain.attenuation import ANY_AUDIENCE

T = TypeVar("T")

OURS = "https://localhost:11443"
"""The audience that the storage is to be told it has, beside `ANY_AUDIENCE`."""
_FOLDERS = ("/data", "/data/run", "/data/running", "/dat", "/user/ada")
_NAMES = ("storage.read", "storage.create", "storage.modify")
_DEEDS = ("read", "create", "modify", "stat")
_AUDIENCES = (
    *[(OURS,)] * 7,
    (ANY_AUDIENCE,),
    ("https://other.example.org", OURS),
    ("https://other.example.org",),
    (OURS + "/",),
)


@dataclass(frozen=True)
class Case:
    """A deed of `domain.storage_verdict.DEEDS` at a path, which names a file that `exists` or not.

    The path is below the issuer's base path. The token is to have these scopes and audiences, and to
    be valid from `starts_in` seconds, which may be negative, until `ends_in` seconds from now.
    """

    number: int
    deed: str
    path: str
    exists: bool
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    starts_in: int = -60
    ends_in: int = 3600


def cases(count: int = 200) -> list[Case]:
    """Return so many cases, the same in every run; about half of them are allowed."""
    dice = _Dice()
    return [_case(number, dice) for number in range(count)]


class _Dice:
    """Chooses as by chance, alike in every run."""

    def __init__(self) -> None:
        self._throws = itertools.count()

    def choice(self, offered: Sequence[T]) -> T:
        """Return one of those offered."""
        thrown = hashlib.sha256(str(next(self._throws)).encode()).digest()
        return offered[int.from_bytes(thrown[:8], "big") % len(offered)]


def _case(number: int, dice: _Dice) -> Case:
    deed = dice.choice(_DEEDS)
    folder = dice.choice(_FOLDERS)
    path = f"{folder}/f{number}"
    scopes = tuple(
        dict.fromkeys(
            f"{dice.choice(_fitting(deed))}:{_near(path, dice)}"
            for _ in range(dice.choice((1, 1, 2)))
        )
    )
    starts, ends = dice.choice([(-60, 3600)] * 10 + [(-7200, -3600), (600, 3600)])
    return Case(number, deed, path, deed != "create", scopes, dice.choice(_AUDIENCES), starts, ends)


def _fitting(deed: str) -> tuple[str, ...]:
    """Return the scopes to choose from: mostly one that fits the deed."""
    fits = {"read": "storage.read", "stat": "storage.read", "create": "storage.create"}
    return (*[fits.get(deed, "storage.modify")] * 3, *_NAMES)


def _near(path: str, dice: _Dice) -> str:
    """Return a path at, above or beside `path`."""
    folder, _, name = path.rpartition("/")
    parent = folder.rpartition("/")[0] or "/"
    return dice.choice(
        [path, folder, folder, folder + "/", parent, "/", path[:-1], f"{folder}/{name}0", "/user"]
    )
