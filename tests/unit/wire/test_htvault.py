"""What HTVault's clients write is read, and what they read is written, as Vault did."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields
from credbroker.wire.htvault import (
    read_duration,
    read_seconds,
    split_list,
    write_envelope,
    write_errors,
)

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)


def duration(value: object) -> float | None:
    """Read a ttl."""
    return read_duration(Fields({"ttl": value}, "The request"), "ttl")


def test_an_envelope_has_what_vault_sends() -> None:
    """Unused parts are null; a secret and a time in it are written as the client reads them."""
    token = Secret("access token", "value")
    written: dict[str, Any] = json.loads(
        write_envelope({"access_token": token, "expire_time": NOON}, None)
    )
    assert written["data"] == {"access_token": "value", "expire_time": "2026-06-01T12:00:00Z"}
    assert (written["auth"], written["wrap_info"], written["warnings"]) == (None, None, None)
    assert json.loads(write_envelope(None, None, ["careful"]))["warnings"] == ["careful"]


def test_what_has_no_form_is_not_written() -> None:
    """A mistake in an answer is found at once, not by a client."""
    with pytest.raises(TypeError, match="no place"):
        write_envelope({"it": object()}, None)


def test_errors_are_a_list_of_texts() -> None:
    """Clients compare the first one."""
    assert json.loads(write_errors(["authorization_pending"])) == {
        "errors": ["authorization_pending"]
    }


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("604800s", 604800), ("7d", 604800), ("2h", 7200), ("5m", 300), ("600", 600), (600, 600)],
)
def test_durations_are_read_as_vault_reads_them(value: object, seconds: int) -> None:
    """A number alone is seconds."""
    assert duration(value) == seconds


@pytest.mark.parametrize("value", [None, "0s", 0, "0"])
def test_no_duration_or_none_at_all_leaves_it_to_the_broker(value: object) -> None:
    """As with Vault."""
    assert duration(value) is None


@pytest.mark.parametrize(
    "value", ["", "-1s", "1w", "1.5h", "s", "9" * 13, True, 1.5, [], {}, "1s\n", "\u0661s"]
)
def test_anything_else_is_no_duration(value: object) -> None:
    """It is said which field it was."""
    with pytest.raises(Malformed, match="ttl"):
        duration(value)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "9" * 10, " 1", "\u0661"])
def test_seconds_in_a_query_are_plain_digits(text: str) -> None:
    """The rest is refused, naming the field."""
    assert read_seconds("2400", "minimum_seconds") == 2400
    with pytest.raises(Malformed, match="minimum_seconds"):
        read_seconds(text, "minimum_seconds")


@given(st.lists(st.sampled_from(["storage.read:/a", "compute.read", "x"]), max_size=5))
def test_lists_are_split_at_commas_and_white_space(wanted: list[str]) -> None:
    """In order, each once; empty text is an empty list."""
    expected = list(dict.fromkeys(wanted))
    assert split_list(",".join(wanted)) == expected
    assert split_list(" \t" + " , ".join(wanted) + ",") == expected
