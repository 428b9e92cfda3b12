"""Messages are written and read by the types of their fields."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field

import pytest

from credbroker.domain.errors import Malformed
from credbroker.domain.secret import Secret
from credbroker.wire.message import LEASE_TOKEN, Message, Request
from tests.unit.things import NOON


@dataclass(frozen=True)
class Part(Message):
    """One of several."""

    name: str


@dataclass(frozen=True)
class Whole(Message):
    """A field of every type."""

    text: str
    number: float
    count: int
    flag: bool
    at: datetime.datetime
    texts: list[str]
    parts: list[Part]
    token: Secret = field(metadata=LEASE_TOKEN)
    maybe: str | None = None
    usual: int = 7
    part: Part | None = None


@dataclass(frozen=True)
class Asked(Request):
    """A request with one field."""

    name: str


WHOLE = Whole(
    "a", 1.5, 2, True, NOON, ["x"], [Part("p")], Secret("lease token", "s3cret"), part=Part("q")
)


def test_every_type_comes_back() -> None:
    """A secret, too, with its kind; a default is written like any other value, None is not."""
    written = json.loads(WHOLE.write())
    assert written["parts"] == [{"name": "p"}]
    assert (written["token"], written["usual"]) == ("s3cret", 7)
    assert written["part"] == {"name": "q"}
    assert "maybe" not in written
    read = Whole.read(WHOLE.write())
    assert read == WHOLE
    assert read.token.kind == "lease token"


def test_a_field_with_a_default_may_be_absent_and_no_other() -> None:
    """And the sentence names the one that is missing."""
    fields = json.loads(WHOLE.write())
    del fields["usual"]
    assert Whole.read(json.dumps(fields).encode()).usual == 7
    for name in ("text", "number", "count", "flag", "at", "texts", "parts", "token"):
        without = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(Malformed, match=name):
            Whole.read(json.dumps(without).encode())


def test_a_wrong_type_is_named_wherever_it_is() -> None:
    """In a part of a list as well."""
    fields = json.loads(WHOLE.write())
    for name, wrong in (
        ("flag", "yes"),
        ("count", "2"),
        ("at", "noon"),
        ("parts", [{"name": 1}]),
        ("part", {}),
    ):
        with pytest.raises(Malformed, match="name" if name.startswith("part") else name):
            Whole.read(json.dumps(fields | {name: wrong}).encode())


def test_only_an_answer_may_have_more_fields_than_are_known() -> None:
    """An older client reads a newer broker; a typo in a request becomes no default."""
    more = b'{"name":"a","new":1}'
    assert Part.read(more) == Part("a")
    with pytest.raises(Malformed, match="new"):
        Asked.read(more)
