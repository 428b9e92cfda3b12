"""Where a bearer token is read and written: the WLCG Bearer Token Discovery.

The first of these places that is not empty decides: `BEARER_TOKEN` (the token itself),
`BEARER_TOKEN_FILE`, `$XDG_RUNTIME_DIR/bt_u<euid>`, `/tmp/bt_u<euid>`. White space around a token does
not count; anything there that is no token ends the search with an error. A missing file leads on,
except one that `BEARER_TOKEN_FILE` names: somebody meant that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Optional

from credbroker.delivery import whole_file
from credbroker.delivery.acting import Owner
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret

VALUE_VARIABLE = "BEARER_TOKEN"
FILE_VARIABLE = "BEARER_TOKEN_FILE"
_FOLDER_VARIABLE = "XDG_RUNTIME_DIR"
_LAST_FOLDER = Path("/tmp")  # noqa: S108 - the discovery names it; the sticky bit is checked on writing

_WHITE_SPACE = b" \t\n\v\f\r"
# RFC 6750 section 2.1, b64token.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*\Z")


@dataclass(frozen=True)
class Found:
    """A token and the place it was found in, for people."""

    value: Secret
    place: str


def find(environ: Mapping[str, str], euid: int) -> Optional[Found]:
    """Return the token a program of this user would use, or None if there is none.

    Raises:
        LocalFileUnfit: A place holds something else than a token, or cannot be read.
    """
    value = _token(environ.get(VALUE_VARIABLE, "").encode(), f"The variable {VALUE_VARIABLE}")
    if value is not None:
        return Found(value, VALUE_VARIABLE)
    named = environ.get(FILE_VARIABLE, "")
    if named:
        value = _named_file(Path(named))
        if value is not None:
            return Found(value, named)
    for place in _usual_places(environ, euid):
        value = read_file(place)
        if value is not None:
            return Found(value, str(place))
    return None


def path_for_writing(environ: Mapping[str, str], euid: int) -> Path:
    """Return the file in which programs of this user look for their token."""
    named = environ.get(FILE_VARIABLE, "")
    return Path(named) if named else _usual_places(environ, euid)[0]


def read_file(path: Path, owner: Optional[Owner] = None) -> Optional[Secret]:
    """Return the token in the file at `path`; None if there is no file or it is empty.

    Raises:
        LocalFileUnfit: It holds something else, is not `owner`'s, ours or root's, or cannot be read.
    """
    content = whole_file.read(path, private=False, owner=owner)
    return None if content is None else _token(content, str(path))


def _named_file(path: Path) -> Optional[Secret]:
    content = whole_file.read(path, private=False, follow_links=True)
    if content is None:
        raise LocalFileUnfit(
            f"{FILE_VARIABLE} names {path}, which is not there.",
            f"Unset {FILE_VARIABLE}, or fetch a token with: credbroker token",
        )
    return _token(content, str(path))


def _usual_places(environ: Mapping[str, str], euid: int) -> List[Path]:
    own = environ.get(_FOLDER_VARIABLE, "")
    folders = [Path(own), _LAST_FOLDER] if own else [_LAST_FOLDER]
    return [folder / f"bt_u{euid}" for folder in folders]


def _token(content: bytes, where: str) -> Optional[Secret]:
    stripped = content.strip(_WHITE_SPACE)
    if not stripped:
        return None
    if not _TOKEN.match(stripped):
        raise LocalFileUnfit(
            f"{where} holds something that is not a bearer token.", "Remove it or put it right."
        )
    return Secret("access token", stripped.decode("ascii"))
