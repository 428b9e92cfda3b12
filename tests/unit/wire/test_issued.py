"""The record of a refresh token reads as it was written, and holds no secret."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from credbroker.domain.issued_refresh import RefreshText
from credbroker.domain.secret import Secret
from credbroker.wire.issued import read_issued, read_refresh_text, write_issued
from tests.unit.domain.test_issued_refresh import FIRST, ID, SECOND, secret
from tests.unit.things import NOON, refusal

FULL = replace(
    SECOND, groups=("/dteam", "/dteam/a"), actor={"sub": "fts", "act": {"sub": "x"}}, ended_at=NOON
)


@pytest.mark.parametrize("issued", [FIRST, SECOND, FULL])
def test_a_record_reads_as_it_was_written(issued: Any) -> None:
    """With everything set, and with as little as there can be."""
    assert read_issued(json.loads(json.dumps(write_issued(issued)))) == issued


def test_a_record_has_hashes_alone() -> None:
    """Whoever reads the store cannot refresh."""
    written = json.dumps(write_issued(SECOND))
    assert "a" * 43 not in written
    assert "b" * 43 not in written


@pytest.mark.parametrize(
    ("field", "value"),
    [("scopes", "[1]"), ("scopes", "{}"), ("scopes", "nonsense"), ("audiences", "5"),
     ("actor", "[]"), ("generation", "1"), ("ends_at", "soon"), ("format", 2), ("holder", "")],
)  # fmt: skip
def test_a_damaged_record_is_refused(field: str, value: object) -> None:
    """It never becomes another right."""
    assert refusal(lambda: read_issued({**write_issued(FULL), field: value}))


def test_a_presented_token_is_taken_apart() -> None:
    """Or is none of ours."""
    text = Secret("token", f"{ID}.3.{'a' * 43}")
    assert read_refresh_text(text) == RefreshText(ID, 3, secret("a"))
    assert read_refresh_text(Secret("token", "a.b.c")) is None
