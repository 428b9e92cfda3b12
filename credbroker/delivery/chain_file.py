"""The file in which a job's agent keeps the secrets of its lease, private and whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from credbroker.delivery import whole_file
from credbroker.domain.errors import LeaseUnknown, Malformed
from credbroker.domain.leases import LeaseToken
from credbroker.wire.fields import parse_object, write_object

if TYPE_CHECKING:
    from pathlib import Path

    from credbroker.ports import Entropy


@dataclass(frozen=True)
class Secrets:
    """A secret to show, and the next one, if it may have been named with that already."""

    present: LeaseToken
    following: Optional[LeaseToken] = None


def write(path: Path, secrets: Secrets, entropy: Entropy) -> None:
    """Put the secrets at `path`, whole, flushed and with mode 0600. Raises `LocalFileUnfit`."""
    following = secrets.following.text().reveal() if secrets.following is not None else None
    content = write_object({"present": secrets.present.text().reveal(), "next": following})
    whole_file.replace(path, content + b"\n", entropy)


def read(path: Path) -> Optional[Secrets]:
    """Return the secrets at `path`; None if there is no file, or none that holds any.

    Raises:
        LocalFileUnfit: Others can read it, or it is no plain file of ours.
    """
    content = whole_file.read(path, private=True)
    if content is None:
        return None
    try:
        fields = parse_object(content, "The file")
        following = fields.optional("next", fields.text)
        return Secrets(
            LeaseToken.parse(fields.text("present")),
            LeaseToken.parse(following) if following is not None else None,
        )
    except (Malformed, LeaseUnknown):
        return None
