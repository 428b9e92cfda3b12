"""How a message of the native API is written and read: by the types of its own fields.

A message is a frozen dataclass. A field with a default may be absent; None is never written. A
request with a field that nobody knows is refused, since a typo must not become a default; an answer
may have more fields than an older client knows.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Callable, ClassVar, Mapping, TypeVar, Union, get_args, get_type_hints

from credbroker.domain.secret import Secret
from credbroker.wire.fields import Fields, parse_object, write_instant, write_object

M = TypeVar("M", bound="Message")


# What a field that holds a secret says of itself, for people: the kind of secret.
LEASE_TOKEN = {"kind": "lease token"}
ACCESS_TOKEN = {"kind": "access token"}


class Message:
    """An answer of the broker, or a part of one."""

    what: ClassVar[str] = "The broker's answer"

    def write(self) -> bytes:
        """Write the message as a JSON object."""
        return write_object(_plain(self))

    @classmethod
    def read(cls: type[M], body: bytes) -> M:
        """Read what `write` wrote; raise `Malformed` naming the field that is wrong."""
        return cls.of(parse_object(body, cls.what))

    @classmethod
    def of(cls: type[M], fields: Fields) -> M:
        """Make the message from a JSON object's fields; raise `Malformed`."""
        found = {
            name: read(fields, name)
            for name, (read, needed) in _readers(cls).items()
            if needed or name in fields
        }
        return cls(**found)


class Request(Message):
    """A message to the broker; fields that it does not know are refused."""

    what: ClassVar[str] = "The request"

    @classmethod
    def of(cls: type[M], fields: Fields) -> M:
        """Make the request from a JSON object's fields; raise `Malformed`."""
        return super().of(fields.only(_readers(cls)))


Reader = Callable[[Fields, str], Any]

_READERS: dict[Any, Reader] = {
    str: Fields.text,
    float: Fields.number,
    int: lambda fields, name: int(fields.number(name)),
    bool: Fields.flag,
    datetime.datetime: Fields.instant,
}


# By class: how each field is read and whether it is needed. Filled when a class is first read.
_KNOWN: dict[Any, Mapping[str, tuple[Reader, bool]]] = {}


def _readers(kind: Any) -> Mapping[str, tuple[Reader, bool]]:
    if kind not in _KNOWN:
        hints = get_type_hints(kind)
        _KNOWN[kind] = {
            field.name: (_reader(hints[field.name], field), field.default is dataclasses.MISSING)
            for field in dataclasses.fields(kind)
        }
    return _KNOWN[kind]


def _reader(kind: Any, field: dataclasses.Field[Any]) -> Reader:
    inner = get_args(kind)
    if type(None) in inner:  # Optional: whether the field is there was asked before
        return _reader(Union[tuple(one for one in inner if one is not type(None))], field)
    if kind is Secret:
        return lambda fields, name: Secret(field.metadata["kind"], fields.text(name))
    if kind in _READERS:
        return _READERS[kind]
    if inner == (str,):
        return Fields.texts
    if not inner:
        return lambda fields, name: kind.of(fields.object(name))
    return lambda fields, name: [inner[0].of(one) for one in fields.objects(name)]


def _plain(message: Any) -> dict[str, object]:
    """Return the fields as JSON has them; the one place where a message's secrets become text."""
    values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return {name: _plain_value(value) for name, value in values.items() if value is not None}


def _plain_value(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime.datetime):
        return write_instant(value)
    if isinstance(value, Message):
        return _plain(value)
    if isinstance(value, list):
        return [_plain_value(one) for one in value]
    return value
