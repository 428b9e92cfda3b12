"""Reads a file of certificate authorities, so that they can travel inside a job's lease.

Only the certificates are taken: a private key or a remark in the same file stays where it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from credbroker.domain.errors import LocalFileUnfit

LARGEST_BYTES = 64 * 1024
"""The most that a lease file carries, in bytes: tens of authorities, not a system's hundreds."""

_LARGEST_FILE_BYTES = 4 * 1024 * 1024
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


def read(path: str) -> str:
    """Return the certificates in the file at `path` as PEM text (RFC 7468 section 5).

    Raises:
        LocalFileUnfit: It cannot be read, holds none, or more than a lease should carry.
    """
    try:
        with Path(path).open("rb") as opened:
            content = opened.read(_LARGEST_FILE_BYTES)
    except OSError:
        content = b""
    found = b"\n".join(_CERTIFICATE.findall(content)) + b"\n"
    if not found.strip():
        raise LocalFileUnfit(f"{path} cannot be read as a file of certificate authorities.")
    if len(found) > LARGEST_BYTES:
        raise LocalFileUnfit(
            f"{path} holds too many certificate authorities for a job's lease to carry.",
            "Name a file with the broker's own authority alone, with --ca-file.",
        )
    return found.decode("ascii")
