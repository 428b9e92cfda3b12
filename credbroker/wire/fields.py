"""Taking a JSON object apart field by field, with one sentence for whatever is wrong with it.

Times travel as RFC 3339 in UTC with whole seconds, as in `2026-03-01T12:00:00Z`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, TypeVar

from credbroker.domain.errors import Malformed
from credbroker.wire.strict_json import read_json

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

T = TypeVar("T")
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
# Several times as quick as strptime, which an access point with thousands of tokens notices.
_READ_INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\Z", re.ASCII)


def parse_object(body: bytes, what: str) -> Fields:
    """Read `body` as one JSON object; raise `Malformed`, naming `what`, for anything else.

    A key that appears twice is refused: two readers could see two different values.
    """
    try:
        read = read_json(body)
    except ValueError:
        raise Malformed(f"{what} is not JSON, or names a field twice.") from None
    except RecursionError:
        raise Malformed(f"{what} is nested too deeply.") from None
    return Fields(read, what)


class Fields:
    """The fields of one JSON object; each reader checks the type and names the field in errors."""

    def __init__(self, read: object, what: str) -> None:
        """Wrap an object that was read from JSON; `what` names it in error sentences."""
        if not isinstance(read, dict):
            raise Malformed(f"{what} must be a JSON object.")
        self._read: Mapping[str, Any] = read
        self._what = what

    def __contains__(self, name: str) -> bool:
        return self._read.get(name) is not None

    def only(self, names: Iterable[str]) -> Fields:
        """Return self if it has no field beyond `names`; raise `Malformed` naming the first other."""
        unknown = sorted(set(self._read) - set(names))
        if unknown:
            raise Malformed(f"{self._what} has a field that is not known: {unknown[0][:64]!r}.")
        return self

    def text(self, name: str) -> str:
        """Return a required, non-empty string."""
        value: Any = self._read.get(name)
        if not _is_text(value) or not value:
            raise Malformed(f"{self._what} needs the text field {name!r}.")
        return value

    def number(self, name: str) -> float:
        """Return a required, finite number."""
        value = self._read.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Malformed(f"{self._what} needs the number {name!r}.")
        if value != value or abs(value) > 1e15:  # noqa: PLR0124 - NaN is unequal to itself
            raise Malformed(f"{self._what} has a number out of range in {name!r}.")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return a required boolean."""
        value = self._read.get(name)
        if not isinstance(value, bool):
            raise Malformed(f"{self._what} needs {name!r} to be true or false.")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a required list of strings."""
        value = self._read.get(name)
        if not isinstance(value, list) or not all(_is_text(item) for item in value):
            raise Malformed(f"{self._what} needs {name!r} to be a list of texts.")
        return list(value)

    def instant(self, name: str) -> datetime.datetime:
        """Return a required time (RFC 3339, UTC)."""
        return read_instant(self.text(name), f"{self._what}, field {name!r}")

    def object(self, name: str) -> Fields:
        """Return a required object's fields."""
        return Fields(self._read.get(name), f"{self._what}, field {name!r},")

    def objects(self, name: str) -> list[Fields]:
        """Return a required list of objects."""
        value = self._read.get(name)
        if not isinstance(value, list):
            raise Malformed(f"{self._what} needs {name!r} to be a list.")
        return [Fields(item, f"{self._what}, an entry of {name!r},") for item in value]

    def packed(self, name: str) -> Any:
        """Return what `packed` wrote into a required text."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError):
            raise Malformed(f"{self._what} has {name!r} that cannot be read.") from None

    def optional(self, name: str, reader: Callable[[str], T]) -> T | None:
        """Return `reader(name)`, or None if the field is absent or null."""
        return reader(name) if name in self else None

    def raw(self, name: str) -> Any:
        """Return a field as it is, for the few whose form differs from issuer to issuer."""
        return self._read.get(name)


def _is_text(value: object) -> TypeGuard[str]:
    """True for a string of whole characters: half a surrogate pair can be written nowhere."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def write_object(fields: Mapping[str, object]) -> bytes:
    """Write a JSON object without the fields that are None."""
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, separators=(",", ":")).encode()


def packed(content: object) -> str:
    """Write what may have hundreds of parts as one text of JSON.

    OpenBao refuses a request with more than a thousand texts in it.
    """
    return json.dumps(content, separators=(",", ":"))


def write_instant(at: datetime.datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, cut to whole seconds."""
    return at.astimezone(datetime.timezone.utc).strftime(_INSTANT)


def write_optional_instant(at: datetime.datetime | None) -> str | None:
    """Write a time, or None as None."""
    return None if at is None else write_instant(at)


def read_instant(text: str, what: str) -> datetime.datetime:
    """Read what `write_instant` wrote; raise `Malformed` naming `what`."""
    match = _READ_INSTANT.match(text)
    if match is not None:
        year, month, day, hour, minute, second = map(int, match.groups())
        with contextlib.suppress(ValueError):  # of a day that no calendar has
            return datetime.datetime(
                year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc
            )
    raise Malformed(f"{what} must be a UTC time like 2026-03-01T12:00:00Z.")
