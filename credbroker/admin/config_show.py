"""`credbroker config show`: the settings as they were merged, each with the place that it comes from.

Settings hold no secrets, they name files; those are not opened here. What only stands for a secret, as
its hash does, is masked all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from credbroker.admin.desk import Desk
from credbroker.config.load import load
from credbroker.config.origins import Origin, origins
from credbroker.config.section import Section

MASKED = "(masked)"
_TELLING = ("secret", "password", "token")


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting: its key, its value as JSON has it, and where it is written; None for a default."""

    key: str
    value: object
    origin: Origin | None


def show(folder: Path, desk: Desk, *, effective: bool, as_json: bool) -> int:
    """Print what is written in `folder`, or all that is in force; raise `BadSettings` if it is wrong."""
    found = [one for one in shown(folder) if effective or one.origin is not None]
    if as_json:
        desk.answer(json.dumps([_plain(one) for one in found]))
    else:
        for one in found:
            desk.answer(_line(one))
    return 0


def shown(folder: Path) -> Iterator[Shown]:
    """Return every setting in the order of the operations page. Raises `BadSettings`."""
    settings = load(folder)
    written = origins(folder)
    for key, value in _leaves(settings, ""):
        yield Shown(key, _masked(key, value), written.get(key))


def _leaves(value: object, at: str) -> Iterator[tuple[str, object]]:
    """Walk down to what has no keys of its own; an empty mapping or list is such."""
    inner: Mapping[str, object] = {}
    if isinstance(value, Section):
        inner = {f".{name}": getattr(value, name) for name in value.__struct_fields__}
    elif isinstance(value, dict):
        inner = {f".{name}": one for name, one in value.items()}
    elif isinstance(value, list | tuple) and any(isinstance(one, Section) for one in value):
        inner = {f"[{number}]": one for number, one in enumerate(value)}
    if not inner:
        yield at, msgspec.to_builtins(value, enc_hook=str)
    for name, one in inner.items():
        yield from _leaves(one, f"{at}{name}".removeprefix("."))


def _masked(key: str, value: object) -> object:
    last = key.rpartition(".")[2]
    tells = any(word in last for word in _TELLING) and not last.endswith("_file")
    return MASKED if tells and isinstance(value, str) else value


def _line(one: Shown) -> str:
    value = json.dumps(one.value, ensure_ascii=False)
    origin = one.origin
    return f"{one.key}: {value}  # {f'{origin.file}:{origin.line}' if origin else 'default'}"


def _plain(one: Shown) -> dict[str, object]:
    origin = one.origin
    place = {"file": str(origin.file), "line": origin.line} if origin else None
    return {"key": one.key, "value": one.value, "origin": place}
