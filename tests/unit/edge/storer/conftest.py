"""An access point as the storer meets it: a person's desk, and a credd with a credmon behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from credbroker.edge.storer.logins import Logins
from credbroker.edge.storer.storages import Storage
from credbroker.edge.storer.submitting import Submit
from credbroker.edge.storer.tools import Kept, Narrowing
from tests.unit.cli.conftest import BROKER_URL, table

if TYPE_CHECKING:
    from tests.fakes.step_clock import StepClock
    from tests.unit.cli.conftest import Table

__all__ = ["table"]


@dataclass
class FakeCredd:
    """A credd in memory, whose credmon takes `credmon_seconds` for a token; None if there is none.

    Follows `edge.storer.tools.Credd`.
    """

    clock: StepClock
    name: str = "ap.example.org"
    credmon_seconds: float | None = 1.0
    held: dict[str, tuple[Narrowing, bytes, float]] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    queries: int = 0

    def query(self, name: str, narrowing: Narrowing) -> Kept:
        """Return what is held under `name`."""
        self.queries += 1
        if name not in self.held:
            return Kept.NOTHING
        kept, _, at = self.held[name]
        if kept != narrowing:
            return Kept.OTHER
        age = self.clock.elapsed() - at
        is_served = self.credmon_seconds is not None and age >= self.credmon_seconds
        return Kept.READY if is_served else Kept.WAITING

    def store(self, name: str, narrowing: Narrowing, content: bytes) -> None:
        """Store `content` under `name`."""
        self.held[name] = narrowing, content, self.clock.elapsed()
        self.stored.append(name)

    def lease_in(self, name: str) -> str:
        """Return the lease token that is stored under `name`."""
        token = json.loads(self.held[name][1])["vault_token"]
        assert isinstance(token, str)
        return token


@pytest.fixture
def credd(table: Table) -> FakeCredd:
    """A credd that holds nothing."""
    return FakeCredd(table.clock)


def logins(table: Table, *, attended: bool = True) -> Logins:
    """Return the logins of the person at the table."""
    return Logins(table.desk(), address=lambda: BROKER_URL, ca_file=None, attended=attended)


def submit(
    table: Table, *credds: FakeCredd, attended: bool = False, known: Sequence[Storage] = ()
) -> Submit:
    """Return what serves a submit of the person at the table."""
    return Submit(
        desk=table.desk(),
        logins=logins(table, attended=attended),
        credds=credds,
        storages=known,
        ca_file=None,
        least_seconds=lambda: 2400,
        tell=table.desk().say,
    )
