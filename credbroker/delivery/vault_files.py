"""The files of htgettoken: vault token, bearer token, credkey; and the streams in their place.

- Each token is one line with its end, as scripts beside htgettoken read it.
- A file is replaced as a whole, so that what was there stays until the new one is; it is its owner's alone.
- Only a token makes room for a token: a file with more than one word in it is none, and stays.
- `/dev/stdin`, `/dev/stdout`, `/dev/stderr` and `/dev/fd/N` are streams of this program, not files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Optional, TextIO

from credbroker.delivery import token_file, whole_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from credbroker.ports import Entropy

STANDARD_OUTPUT = "/dev/stdout"
_STREAM = re.compile(r"/dev/(?:fd/([0-9]{1,4})|std(in|out|err))\Z")
_NUMBERS = {"in": 0, "out": 1, "err": 2}
_LONGEST = 64 * 1024
# A word: visible ASCII, which is what a header can carry.
_WORD = re.compile(r"[!-~]+\Z")


def is_stream(path: str) -> bool:
    """True if `path` names a stream of this program."""
    return _STREAM.match(path) is not None


def read_vault_token(path: str, inp: Optional[TextIO] = None) -> Optional[Secret]:
    """Return the vault token in the file or stream at `path`; None if nothing is there.

    Args:
        path: The file, or a stream's name.
        inp: Standard input, if that is what `path` may name.

    Raises:
        LocalFileUnfit: It holds something else, belongs to somebody else, or cannot be read.
    """
    text = _read_stream(path, inp) if is_stream(path) else _read_file(path)
    if not text:
        return None
    if not _WORD.match(text):
        raise LocalFileUnfit(f"{path} holds something that is no vault token.", "Remove it.")
    return Secret("vault token", text)


def put(path: str, token: Secret, out: TextIO, entropy: Entropy) -> None:
    """Put a token into the file or stream at `path`; raise `LocalFileUnfit` if that fails.

    Args:
        path: The file, or a stream's name; `/dev/stdout` is `out`.
        token: A vault token or a bearer token.
        out: Standard output.
        entropy: Names the temporary file.
    """
    if path == STANDARD_OUTPUT:
        token_file.show(token, out)
    elif is_stream(path):
        try:
            with os.fdopen(os.dup(_number(path)), "w") as stream:
                token_file.show(token, stream)
        except OSError as failure:
            raise LocalFileUnfit(f"{path} cannot be written: {failure.strerror}.") from None
    else:
        line = token.reveal().encode() + b"\n"
        whole_file.replace(Path(path).absolute(), line, entropy, may_replace=_may_be_token)


def check_room(path: str) -> None:
    """Raise `LocalFileUnfit` if no token could be put at `path` now."""
    if not is_stream(path):
        whole_file.check_room(Path(path).absolute(), may_replace=_may_be_token)


def read_credkey(path: Path) -> Optional[str]:
    """Return whose login was learned last; None if that is not known. Raises `LocalFileUnfit`."""
    content = whole_file.read(path, private=False, follow_links=True)
    return content.decode("utf-8", "replace").strip() or None if content else None


def make_room_for_credkey(path: Path) -> None:
    """Make the folder for it; raise `LocalFileUnfit` if it could not be written there now."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise LocalFileUnfit(f"{path.parent} cannot be made: {failure.strerror}.") from None
    whole_file.check_room(path)


def write_credkey(path: Path, credkey: str, entropy: Entropy) -> None:
    """Remember whose login it is; raise `LocalFileUnfit` if that fails."""
    make_room_for_credkey(path)
    whole_file.replace(path, f"{credkey}\n".encode(), entropy, mode=0o644)


def _may_be_token(content: bytes) -> bool:
    text = content.decode("latin-1").strip()
    return not text or _WORD.match(text) is not None


def _read_file(path: str) -> str:
    content = whole_file.read(Path(path), private=False, follow_links=True)
    return (content or b"").decode("ascii", "replace").strip()


def _read_stream(path: str, inp: Optional[TextIO]) -> str:
    number = _number(path)
    try:
        if number == 0 and inp is not None:
            return inp.read(_LONGEST).strip()
        with os.fdopen(os.dup(number)) as stream:
            return stream.read(_LONGEST).strip()
    except (OSError, ValueError):
        raise LocalFileUnfit(f"{path} cannot be read.") from None


def _number(path: str) -> int:
    match = _STREAM.match(path)
    number, name = match.groups() if match else (None, "out")
    return int(number) if number else _NUMBERS[name]
