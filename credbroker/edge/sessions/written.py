"""Which files are this agent's own: those that hold a token it brought.

Only digests are kept, in one small file for each person, and before a token is written: after a crash
at any point the agent knows its own files again. What it does not know was made by somebody else.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.domain.secret import Secret
from credbroker.ports import Entropy
from credbroker.wire.fields import parse_object, write_object

MOST_OF_ONE = 16
"""How many of the newest tokens of one file; how often others are renewed does not count."""
MOST_REMEMBERED = 1024
"""How many of the newest tokens of one person."""

_Noted = tuple[str, str]
"""The name of a file, and the digest of a token that was brought for it."""

_WHITE_SPACE = b" \t\n\v\f\r"


class Written:
    """What was brought to whom; may be used from several threads."""

    def __init__(self, folder: Path, entropy: Entropy) -> None:
        """Keep the digests in `folder`, which is this program's own."""
        self._folder = folder
        self._entropy = entropy
        self._known: dict[int, tuple[_Noted, ...]] = {}
        self._one_at_a_time = threading.Lock()

    def note(self, brought: Mapping[int, Iterable[tuple[str, Secret]]]) -> None:
        """Remember tokens that are about to be written, by uid, each with the name of its file.

        All of it is on disk when this returns.

        Raises:
            LocalFileUnfit: Not all of it could be put on disk; it is remembered until this program
                ends.
        """
        unkept = None
        with self._one_at_a_time:
            for uid, tokens in brought.items():
                newest = [(file, token.digest()) for file, token in tokens]
                self._known[uid] = _newest((*self._of(uid), *newest))
                content = write_object({"digests": [" ".join(one) for one in self._known[uid]]})
                try:
                    whole_file.replace(self._path(uid), content + b"\n", self._entropy)
                except LocalFileUnfit as unfit:
                    unkept = unfit
        if unkept is not None:
            raise unkept

    def owns(self, uid: int, content: bytes) -> bool:
        """True if this is the content of a file that was brought to this person."""
        return _holds(self._of(uid), content)

    def owns_for_certain(self, uid: int, content: bytes) -> bool:
        """Answer as `owns` does, from memory alone: for who acts with a person's rights."""
        return _holds(self._known.get(uid, ()), content)

    def question(self, uid: int) -> Callable[[bytes], bool]:
        """Return `owns` for one person, to be asked with whatever rights.

        Two such questions about the same person are equal.
        """
        self._of(uid)
        return _Question(self, uid)

    def forget(self, uid: int) -> None:
        """Forget a person whose files are gone."""
        with self._one_at_a_time:
            self._known.pop(uid, None)
            whole_file.remove(self._path(uid))

    def remembered(self) -> set[int]:
        """Return the people of whom anything is remembered."""
        return {int(one.stem) for one in self._folder.glob("*.json") if one.stem.isdecimal()}

    def _of(self, uid: int) -> tuple[_Noted, ...]:
        known = self._known.get(uid)
        if known is None:
            known = self._known[uid] = self._read(uid)
        return known

    def _read(self, uid: int) -> tuple[_Noted, ...]:
        """A file that cannot be read counts as empty: the person's files are then foreign, and stay."""
        try:
            content = whole_file.read(self._path(uid), private=True)
            if content is None:
                return ()
            noted = (
                one.partition(" ") for one in parse_object(content, "The file").texts("digests")
            )
            return tuple((file, digest) for file, _, digest in noted)
        except (LocalFileUnfit, Malformed):
            return ()

    def _path(self, uid: int) -> Path:
        return self._folder / f"{uid}.json"


class _Question:
    """Asks for one person; equal to another one for the same, as orders are compared."""

    def __init__(self, written: Written, uid: int) -> None:
        self._about = (written, uid)

    def __call__(self, content: bytes) -> bool:
        written, uid = self._about
        return written.owns_for_certain(uid, content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and other._about == self._about

    def __hash__(self) -> int:
        return hash(self._about)


def _holds(noted: tuple[_Noted, ...], content: bytes) -> bool:
    digest = hashlib.sha256(content.strip(_WHITE_SPACE)).hexdigest()
    return any(digest == known for _, known in noted)


def _newest(noted: Iterable[_Noted]) -> tuple[_Noted, ...]:
    """Return what is kept of this, the newest last: what is there twice counts once."""
    times: Counter[str] = Counter()
    kept: list[_Noted] = []
    for file, digest in dict.fromkeys(reversed(tuple(noted))):
        times[file] += 1
        if times[file] <= MOST_OF_ONE:
            kept.append((file, digest))
    return tuple(reversed(kept[:MOST_REMEMBERED]))
