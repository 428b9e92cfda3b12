"""The spellings that storages accept, from `storage.d/*.yaml`: so that a slip is found at submit.

An issuer signs nearly any audience and path; it is the storage that refuses them, hours later in a
job. A slip is only what differs from a known spelling in case, slashes, scheme or usual port;
what is merely like one is a hint, given after something else has failed.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from credbroker.domain.errors import Malformed, Refused
from credbroker.domain.scopes import path_covers

if TYPE_CHECKING:
    from credbroker.edge.storer.asked import Asked

DEFAULT_FOLDER = Path("/etc/credbroker/storage.d")

_SCHEME = re.compile(r"[a-z]+://")
_USUAL_PORT = re.compile(r":443\Z")


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A storage: its address, the audience it wants, and how the paths of its scopes begin."""

    name: str
    url: str = ""
    audience: str = ""
    prefix: str = ""


def read(folder: Path) -> list[Storage]:
    """Return the storages listed in `folder`, each file a list; one that is spoiled lists none."""
    found: list[Storage] = []
    for file in sorted(folder.glob("*.yaml")):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found += msgspec.yaml.decode(file.read_bytes(), type=list[Storage])
    return found


def check(asked: Asked, storages: Sequence[Storage]) -> None:
    """Raise `Malformed`, with the right spelling, for an audience or a path that is a slip."""
    for audience in asked.audiences:
        known = [one for one in storages if one.audience]
        if audience in {one.audience for one in known}:
            continue
        for one in known:
            if _sloppy(audience) in {_sloppy(one.audience), _sloppy(one.url)}:
                raise _slip(asked, f"the audience of {one.name} is {one.audience}, not {audience}")
    for path in _paths(asked):
        for one in _meant(asked, storages):
            prefix = one.prefix.rstrip("/") or "/"
            if not path_covers(prefix, path) and path_covers(prefix.lower(), path.lower()):
                raise _slip(asked, f"paths at {one.name} begin with {one.prefix}, unlike {path}")


@contextlib.contextmanager
def hinting(asked: Asked, storages: Sequence[Storage]) -> Iterator[None]:
    """Have a refusal say which known spellings are like what was asked for."""
    try:
        yield
    except Refused as refused:
        refused.remedy = " ".join([*_hints(asked, storages), refused.remedy])
        raise


def _hints(asked: Asked, storages: Sequence[Storage]) -> Iterator[str]:
    audiences = {one.audience: one for one in storages if one.audience}
    for audience in asked.audiences:
        if audience not in audiences:
            for like in difflib.get_close_matches(audience, audiences, n=1):
                yield f"The audience of {audiences[like].name} is {like}."
    for path in _paths(asked):
        for one in _meant(asked, storages):
            if not path_covers(one.prefix.rstrip("/") or "/", path):
                yield f"Paths at {one.name} begin with {one.prefix}."


def _meant(asked: Asked, storages: Sequence[Storage]) -> Iterator[Storage]:
    """Walk the storages that the request is for, by their audience, whose paths are known."""
    return (one for one in storages if one.prefix and one.audience in asked.audiences)


def _paths(asked: Asked) -> Iterator[str]:
    return (scope.partition(":")[2] for scope in asked.scopes if scope.startswith("storage."))


def _sloppy(text: str) -> str:
    return _USUAL_PORT.sub("", _SCHEME.sub("", text.strip().lower()).rstrip("/"))


def _slip(asked: Asked, what: str) -> Malformed:
    return Malformed(
        f"The request for {asked.name} is misspelled: {what}.", "Mend the submit file."
    )
