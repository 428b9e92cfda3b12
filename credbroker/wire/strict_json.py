"""Reads JSON in which two readers could see nothing different (RFC 8259 section 4)."""

from __future__ import annotations

import json

TYPE_CHECKING = False  # what mypy takes for the one in typing, which takes longer to load than this
if TYPE_CHECKING:
    from typing import Any


def read_json(body: bytes) -> Any:
    """Return what `body` says.

    Raises:
        ValueError: It is not JSON in UTF-8, or an object in it names a field twice.
        RecursionError: It is nested too deeply.
    """
    return _DECODER.decode(body.decode("utf-8-sig"))


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError
    return read


_DECODER = json.JSONDecoder(object_pairs_hook=_no_twins)
