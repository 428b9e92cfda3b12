"""Changes inputs where it matters: at the names in them, by names that mislead careless parsers.

Every other input is left to libFuzzer, which knows nothing of requests.
"""

from __future__ import annotations

import random  # noqa: TID251 - libFuzzer gives the seed
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Whatever stands between two of these is a name, a value or a number.
_NAME = re.compile(rb"[^/:?&= \"\r\n]+")
_CREDKEY = re.compile(rb" /v1/secret/oauth/[a-z]+/[^/\s]+/([^:\s]+)")
_ADDRESS = re.compile(rb" /v1/\S*")
NAMES = (
    b"bob", b"adalbert", b"ADA", b"ada:default", b"ada/robot", b"*", b"+", b"..", b"%00", b"%2f",
    b"%252f", b"\x00", b"%ff", b"%c0%ae", b"lbert", b";", b",", b" ", b"a" * 300, b"",
    "\u202e".encode(), b"{{identity.entity.name}}", b"permission denied",
)  # fmt: skip
BEHIND = (
    b"/../bob", b"/../../bob", b"/./../bob", b"/x/../../bob", b"/%2e%2e/bob", b"%2F..%2Fbob", b"//",
    b"/../adalbert", b"/..", b"lbert", b"%00bob",
)  # fmt: skip


def mutator(by_itself: Callable[[bytes, int], bytes]) -> Callable[[bytes, int, int], bytes]:
    """Return what changes an input; `by_itself` is how libFuzzer does."""

    def changed(text: bytes, most: int, seed: int) -> bytes:
        dice = random.Random(seed)
        place = _place(text, dice) if dice.random() < 0.5 else None
        if place is None:
            return by_itself(text, most)
        start, end = place
        if dice.random() < 0.5:
            start, name = end, dice.choice(BEHIND)
        else:
            name = dice.choice(NAMES)
        return (text[:start] + name + text[end:])[:most]

    return changed


def _place(text: bytes, dice: random.Random) -> tuple[int, int] | None:
    """Return where one name stands: the credkey, one of the address, or any at all."""
    credkey = _CREDKEY.search(text)
    if credkey is not None and dice.random() < 0.3:
        return credkey.span(1)
    address = _ADDRESS.search(text) if dice.random() < 0.5 else None
    start, end = address.span() if address is not None else (0, len(text))
    places = [found.span() for found in _NAME.finditer(text, start, end)]
    return dice.choice(places) if places else None
