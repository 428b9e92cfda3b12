"""What is remembered is the person's own, and a spoiled file is as good as none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credbroker.delivery import lease_file
from credbroker.domain.errors import LocalFileUnfit
from credbroker.edge.storer.place import Place, digest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Table


def place(table: Table) -> Place:
    """Return the place of the login at cms."""
    return Place.of(table.environ, "cms", "default", table.desk().entropy)


def test_a_lease_is_kept_privately_and_forgotten_if_it_is_that_one(table: Table) -> None:
    """Somebody else may have put the next one there already."""
    here = place(table)
    assert here.lease() is None
    first = lease_file.read(table.log_in())
    second = lease_file.read(table.log_in())
    here.keep(second)
    here.forget(first)
    assert here.lease() == second
    here.forget(second)
    assert here.lease() is None
    assert here.folder.stat().st_mode & 0o777 == 0o700


def test_notes_are_added_to(table: Table) -> None:
    """By credd and name."""
    here = place(table)
    here.note("a", "1")
    here.note("b", "2")
    here.note("a", "3")
    assert place(table).notes() == {"a": "3", "b": "2"}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_spoiled_files_count_for_nothing(table: Table, content: bytes) -> None:
    """The next submit stores once more."""
    here = place(table)
    for name in ("cms+default.json", "cms+default.stored"):
        (here.folder / name).write_bytes(content)
        (here.folder / name).chmod(0o600)
    assert (here.lease(), here.notes()) == (None, {})


def test_a_folder_that_cannot_be_made_is_told(table: Table) -> None:
    """Before anybody logs in."""
    (table.folder / "state").write_text("in the way")
    with pytest.raises(LocalFileUnfit, match="cannot be made"):
        place(table)


def test_whatever_is_stored_differently_has_another_hash() -> None:
    """Scopes, audience and content each count."""
    made = [digest(c, (s, a)) for c in (b"x", b"y") for s in ("", "s") for a in ("", "s")]
    assert len(set(made)) == len(made)
