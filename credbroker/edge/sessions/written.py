"""Which files are this agent's own: those that hold a token it brought.

Only digests are kept, in one small file for each person, and before a token is written: after a crash
at any point the agent knows its own files again. What it does not know was made by somebody else.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from credbroker.delivery import whole_file
from credbroker.domain.errors import LocalFileUnfit, Malformed
from credbroker.domain.secret import Secret
from credbroker.ports import Entropy
from credbroker.wire.fields import parse_object, write_object

MOST_REMEMBERED = 256
"""How many of the newest tokens of one person: many times more than a person has files."""

_WHITE_SPACE = b" \t\n\v\f\r"


class Written:
    """What was brought to whom; may be used from several threads."""

    def __init__(self, folder: Path, entropy: Entropy) -> None:
        """Keep the digests in `folder`, which is this program's own."""
        self._folder = folder
        self._entropy = entropy
        self._known: dict[int, tuple[str, ...]] = {}
        self._one_at_a_time = threading.Lock()

    def note(self, brought: Mapping[int, Iterable[Secret]]) -> None:
        """Remember tokens that are about to be written, by uid; on disk when this returns.

        Raises:
            LocalFileUnfit: Not all of it could be put on disk; it is remembered until this program
                ends.
        """
        unkept = None
        with self._one_at_a_time:
            for uid, tokens in brought.items():
                newest = [token.digest() for token in tokens]
                self._known[uid] = (*self._of(uid), *newest)[-MOST_REMEMBERED:]
                content = write_object({"digests": list(self._known[uid])})
                try:
                    whole_file.replace(self._path(uid), content + b"\n", self._entropy)
                except LocalFileUnfit as unfit:
                    unkept = unfit
        if unkept is not None:
            raise unkept

    def owns(self, uid: int, content: bytes) -> bool:
        """True if this is the content of a file that was brought to this person."""
        return _digest(content.strip(_WHITE_SPACE)) in self._of(uid)

    def question(self, uid: int) -> Callable[[bytes], bool]:
        """Return `owns` for one person; two such questions about the same person are equal."""
        return _Question(self, uid)

    def forget(self, uid: int) -> None:
        """Forget a person whose files are gone."""
        with self._one_at_a_time:
            self._known.pop(uid, None)
            whole_file.remove(self._path(uid))

    def remembered(self) -> set[int]:
        """Return the people of whom anything is remembered."""
        return {int(one.stem) for one in self._folder.glob("*.json") if one.stem.isdecimal()}

    def _of(self, uid: int) -> tuple[str, ...]:
        known = self._known.get(uid)
        if known is None:
            known = self._known[uid] = self._read(uid)
        return known

    def _read(self, uid: int) -> tuple[str, ...]:
        """A file that cannot be read counts as empty: the person's files are then foreign, and stay."""
        try:
            content = whole_file.read(self._path(uid), private=True)
            if content is None:
                return ()
            return tuple(parse_object(content, "The file").texts("digests"))
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
        return written.owns(uid, content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and other._about == self._about

    def __hash__(self) -> int:
        return hash(self._about)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
