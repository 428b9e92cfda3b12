"""Delivers an access token: into its file, or to whoever reads standard output.

The file holds the token and nothing else, without a line end, as the WLCG bearer token discovery
reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, TextIO, Tuple

from credbroker.delivery import whole_file
from credbroker.delivery.discovery import read_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.domain.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.ports import Entropy


def write(
    path: Path,
    token: Secret,
    entropy: Entropy,
    *,
    owner: Optional[Tuple[int, int]] = None,
    mode: int = 0o600,
    as_owner: bool = False,
    may_replace: Optional[whole_file.MayReplace] = None,
) -> whole_file.Identity:
    """Put the token at `path`, whole; on any failure what was there stays. Return which file it is.

    Args:
        path: The token file; its folder exists.
        token: The access token.
        entropy: Names the temporary file.
        owner: The file's (uid, gid); None for whoever runs this.
        mode: The file's permission bits, set whatever the umask.
        as_owner: Write with the rights of `owner` alone, as one must in a folder of theirs.
        may_replace: Says whether the file that is there may go, by its content; None replaces any.

    Raises:
        ForeignFile: It may not.
        LocalFileUnfit: It cannot be written there safely; the sentence says why.
    """
    return whole_file.replace(
        path,
        token.reveal().encode(),
        entropy,
        mode=mode,
        owner=owner,
        as_owner=as_owner,
        may_replace=may_replace,
    )


def holds(path: Path, token: Secret, owner: Optional[Tuple[int, int]] = None) -> bool:
    """True if the file at `path`, of `owner` or else ours, holds this very token already."""
    try:
        return read_file(path, owner) == token
    except LocalFileUnfit:
        return False


def show(token: Secret, out: TextIO) -> None:
    """Print the token as one line, for a reader that asked for it there."""
    out.write(token.reveal() + "\n")
