"""Reads a request for thousands of files in the time that its objects take to make.

What most send is read by `msgspec` into the messages themselves. It would take the last of two fields of
one name, and leave out what it does not know: so the quotes in the body are counted. Where there is no
escape, each begins or ends a name or a text, and those that were read need just so many. All other
requests are read one field after the other, by `wire.files`, which has a sentence for what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from credbroker.wire.files import MOST_FILES, AskFiles, read_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credbroker.domain.errors import Malformed
    from credbroker.wire.files import AskFile

_DECODER = msgspec.json.Decoder(AskFiles)
_USUAL_SECONDS = 10**9
# Of `"entries"`, and of `"path"`, its text and `"access"`.
_QUOTES, _QUOTES_OF_EACH = 2, 6


def read_files(body: bytes) -> Sequence[AskFile | Malformed]:
    """Return what `wire.files.read_asked` returns, or raise as it does; most requests are read sooner."""
    usual = _usual(body)
    return read_asked(body) if usual is None else usual


def _usual(body: bytes) -> list[AskFile] | None:
    """Return the entries of a request that nobody could read in another way."""
    # An empty text is refused, and has two quotes next to each other.
    if not body.isascii() or b"\\" in body or b'""' in body:
        return None
    try:
        entries = _DECODER.decode(body).entries
    except (msgspec.MsgspecError, RecursionError):
        return None
    quotes = _QUOTES
    for entry in entries:
        texts = (entry.audience is not None) + (entry.url is not None) + (entry.form != "token")
        quotes += _QUOTES_OF_EACH + 2 * len(entry.access) + 4 * texts
        if entry.lifetime_seconds is not None:
            if abs(entry.lifetime_seconds) >= _USUAL_SECONDS:
                return None
            quotes += 2
    return entries if quotes == body.count(b'"') and len(entries) <= MOST_FILES else None
