"""The narrower a token is, the longer it may live; an operator's numbers replace the usual ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import credbroker.domain.lifetimes as module
from credbroker.domain.attenuation import ANY_AUDIENCE, Right
from credbroker.domain.lifetimes import ROWS, Lifetime, LifetimeTable
from credbroker.domain.scopes import ScopeSet
from tests.unit.things import scope_sets

TABLE = LifetimeTable.of({})
SE = "https://se.test"
FILE = "storage.read:/data/run1/f"


def row(scope: str, *audiences: str) -> str:
    """Return the row that the usual time is of."""
    return TABLE.of_right(Right(ScopeSet.parse(scope), audiences or (SE,)))[0]


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("storage.modify:/", "modify_all"),
        ("storage.modify:/a", "modify"),
        ("storage.create:/a", "create"),
        ("storage.read:/", "read"),
        ("storage.read:/data/f", "read"),
        ("storage.read:/data/run1/", "read"),
        (FILE, "read_file"),
        ("storage.stage:/a", "stage"),
        ("storage.poll:/", "poll"),
        ("compute.create", "compute"),
        ("wlcg.groups", "other"),
        ("fts", "other"),
        ("", "other"),
        (f"{FILE} storage.modify:/", "modify_all"),
        (f"offline_access openid {FILE}", "read_file"),
    ],
)
def test_each_scope_falls_into_a_row(scope: str, named: str) -> None:
    """Of several the shortest counts; what steers a login has none."""
    assert row(scope) == named


def test_a_file_is_one_at_one_storage_alone() -> None:
    """At two it is read as anything else, and for everybody it is short."""
    assert row(FILE, SE, "https://other.test") == "read"
    assert row(FILE, ANY_AUDIENCE) == "any_audience"


def test_a_file_at_one_storage_may_live_days_and_what_deletes_all_minutes() -> None:
    """The two ends of the table."""
    assert TABLE.rows["read_file"].most == 7 * 86400
    assert TABLE.rows["modify_all"] == Lifetime(600, 900)


def test_an_operators_number_replaces_the_usual_one() -> None:
    """And raises the most, where it is beyond that; other rows stay."""
    table = LifetimeTable.of({"read": 86400.0, "create": 60.0})
    assert table.rows["read"] == Lifetime(86400, 86400)
    assert table.rows["create"] == Lifetime(60, 21600)
    assert table.rows["stage"] == ROWS["stage"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"write": 1.0}, "there is no row 'write'; the rows are any_audience, "),
     ({"read": 0.5}, "read must be 1 to 2592000 seconds"),
     ({"read_file": 2592001.0}, "read_file must be 1 to 2592000 seconds")],
)  # fmt: skip
def test_a_wrong_row_is_named(changes: dict[str, float], why: str) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match=why):
        LifetimeTable.of(changes)


@given(first=scope_sets, second=scope_sets)
def test_more_scopes_never_live_longer(first: ScopeSet, second: ScopeSet) -> None:
    """Whatever is added to a token that holds a right."""
    both = ScopeSet(tuple(dict.fromkeys(first.items + second.items)))
    if not len(first.rights()):
        return
    _, one = TABLE.of_right(Right(first, (SE,)))
    _, more = TABLE.of_right(Right(both, (SE,)))
    assert more.usual <= one.usual
    assert more.most <= one.most


@given(scopes=scope_sets, audiences=st.sets(st.sampled_from([SE, ANY_AUDIENCE]), min_size=1))
def test_the_usual_time_is_within_the_most(scopes: ScopeSet, audiences: set[str]) -> None:
    """In every mixture of rows."""
    _, lifetime = TABLE.of_right(Right(scopes, tuple(audiences)))
    assert 0 < lifetime.usual <= lifetime.most


def test_the_table_in_the_code_is_the_one_in_its_words() -> None:
    """Each row once, with its times as people say them."""
    assert module.__doc__ is not None
    lines = [line for line in module.__doc__.splitlines() if line.startswith("| `")]
    written = {cells[1].strip(" `"): (cells[3].strip(), cells[4].strip())
               for cells in (line.split("|") for line in lines)}  # fmt: skip
    assert written == {name: (said(one.usual), said(one.most)) for name, one in ROWS.items()}


def said(seconds: int) -> str:
    """Return a time as the table has it."""
    if seconds % 86400 == 0:
        return f"{seconds // 86400} day{'s' * (seconds > 86400)}"
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds // 60} min"
