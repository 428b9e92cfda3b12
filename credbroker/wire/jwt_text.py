"""The two readable parts of a JWT as texts, for people (RFC 7519); nothing is judged, or left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

from credbroker.domain.errors import Malformed
from credbroker.wire.jwt import decoded

if TYPE_CHECKING:
    from credbroker.domain.secret import Secret

Write = Callable[[int], object]
"""Says what stands in a whole number's place."""


def header_text(value: Secret) -> str:
    """Return the header as indented JSON; raise `Malformed` if this is no JWT."""
    return _text(value, 0, None)


def claims_text(value: Secret, write_number: Optional[Write] = None) -> str:
    """Return the claims as indented JSON; raise `Malformed` if this is no JWT.

    Args:
        value: The token.
        write_number: Writes each whole number that is not negative; None for as it is.
    """
    return _text(value, 1, write_number)


def _text(value: Secret, part: int, write_number: Optional[Write]) -> str:
    parts = value.reveal().split(".")
    if len(parts) != 3:
        raise Malformed("This is no signed token: three parts between dots were expected.")
    try:
        read = json.loads(decoded(parts[part], "A part of the token"))
    except (ValueError, RecursionError):
        raise Malformed("A part of the token is not JSON.") from None
    return json.dumps(_written(read, write_number), indent=2, ensure_ascii=False)


def _written(read: Any, write_number: Optional[Write]) -> object:
    if write_number is None:
        return read
    if isinstance(read, dict):
        found: Dict[str, object] = {k: _written(one, write_number) for k, one in read.items()}
        return found
    if isinstance(read, list):
        return [_written(one, write_number) for one in read]
    is_whole = isinstance(read, int) and not isinstance(read, bool)
    return write_number(read) if is_whole and read >= 0 else read
