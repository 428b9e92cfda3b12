"""Puts what a credmon needs into the credd, and waits until the credmon has made a token of it.

Nothing is stored that is there already. A name that is there with other scopes is left alone: jobs
may be living on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credbroker.cli.turns import turn
from credbroker.domain.errors import NotAllowed
from credbroker.domain.names import GrantKey
from credbroker.edge.storer.place import digest
from credbroker.edge.storer.tools import Kept, NotStored
from credbroker.wire.vault_top import vault_url, write_top

if TYPE_CHECKING:
    from credbroker.client.blocking import BlockingClock
    from credbroker.delivery.lease_file import LeaseFile
    from credbroker.edge.storer.asked import Asked
    from credbroker.edge.storer.place import Place
    from credbroker.edge.storer.tools import Credd, Narrowing

READY_SECONDS = 15.0
"""How long a credmon may take for the first token of what was just stored."""
TURN_SECONDS = 120.0

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_WHOLE = ("", "")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be stored under a name; `written` is the narrowing as the submit spelled it."""

    name: str
    narrowing: Narrowing
    written: Narrowing
    content: bytes = field(repr=False)


def entries(requests: Sequence[Asked], lease: LeaseFile) -> list[Entry]:
    """Return what is stored for requests of one service: its own file first, with the lease."""
    url = vault_url(lease.broker, GrantKey(lease.issuer, lease.credkey, lease.role))
    service = requests[0].service.name
    narrowed = [
        Entry(one.name, one.narrowing, one.written, write_top(url, None))
        for one in requests
        if one.handle is not None
    ]
    return [Entry(service, _WHOLE, _WHOLE, write_top(url, lease.lease_token)), *narrowed]


class Storing:
    """Stores at one credd."""

    def __init__(self, credd: Credd, place: Place, clock: BlockingClock, user: str = "") -> None:
        """Remember in `place` what `credd` was given, for `user` if it is for somebody else."""
        self._credd = credd
        self._place = place
        self._clock = clock
        self._key = f"{user}@{credd.name}"

    def store(self, wanted: Sequence[Entry]) -> list[str]:
        """See that all of it is stored and served; return the names that had to be stored.

        Raises:
            NotAllowed: A name is there, with other scopes or another audience.
            NotStored: The credd did not store it, or the credmon did not serve it in time.
        """
        notes = self._place.notes()
        if all(self._kept(one) is Kept.READY and self._is_noted(one, notes) for one in wanted):
            return []
        stored = self._store_missing(wanted)
        self._wait(wanted)
        return stored

    def _store_missing(self, wanted: Sequence[Entry]) -> list[str]:
        with turn(
            self._place.lock("store"),
            self._clock,
            TURN_SECONDS,
            waiting=lambda: None,
            in_vain=lambda: NotStored("Another submit of yours has been storing for two minutes."),
        ):
            notes = self._place.notes()
            missing = [
                one
                for one in wanted
                if self._kept(one) is Kept.NOTHING or not self._is_noted(one, notes)
            ]
            for one in missing:
                self._credd.store(one.name, one.narrowing, one.content)
                self._place.note(self._note_of(one), digest(one.content, one.narrowing))
        return [one.name for one in missing]

    def _wait(self, wanted: Sequence[Entry]) -> None:
        deadline, pause = self._clock.elapsed() + READY_SECONDS, _FIRST_PAUSE_SECONDS
        for one in wanted:
            while self._credd.query(one.name, one.narrowing) is not Kept.READY:
                if self._clock.elapsed() >= deadline:
                    raise _unserved(one.name, self._credd.name)
                self._clock.block(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _kept(self, one: Entry) -> Kept:
        """Return what the credd has of an entry, nothing if it has another spelling of it."""
        kept = self._credd.query(one.name, one.narrowing)
        if kept is not Kept.OTHER:
            return kept
        # Another storer keeps scopes in the order of the submit file: the same right all the same.
        if one.written == one.narrowing or (self._credd.query(one.name, one.written) is Kept.OTHER):
            raise NotAllowed(
                f"{one.name} is stored already, with other scopes or another audience.",
                "Take another handle; or, if no job needs it any more, remove it with:"
                f" condor_store_cred delete-oauth -s {one.name}",
            )
        return Kept.NOTHING

    def _is_noted(self, one: Entry, notes: Mapping[str, str]) -> bool:
        return notes.get(self._note_of(one)) == digest(one.content, one.narrowing)

    def _note_of(self, one: Entry) -> str:
        return f"{self._key}/{one.name}"


def _unserved(name: str, credd: str) -> NotStored:
    return NotStored(
        f"{name} is stored at {credd}, but no token was made of it in {READY_SECONDS:.0f} s, so a job"
        " would be put on hold.",
        "The credmon of this access point does not run, or cannot reach the broker; tell whoever runs"
        " it. What it does is shown by: credbroker credmon --list",
    )
