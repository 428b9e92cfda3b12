"""Reads the settings of an HTVault, `config.d/*.yaml`, as htvault-config itself merges them.

Files in the order of their names; mappings key by key; lists of named items item by item, where an
item with the key `delete` takes away the one of its name; other lists are joined; single values
replace what was there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from credbroker.config.load import read_mapping
from credbroker.domain.errors import BadSettings


def read_folder(folder: Path) -> dict[str, Any]:
    """Return everything that the files in `folder` say; raise `BadSettings` naming a bad file."""
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise BadSettings(f"{folder}: there is no *.yaml file here.")
    merged: dict[str, Any] = {}
    for file in files:
        try:
            merged = _merge(merged, read_mapping(file, yaml.SafeLoader))
        except _Mismatch as where:
            raise BadSettings(
                f"{file}: {where}: this is of another kind than in an earlier file."
            ) from None
    return merged


def named_items(tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return each item of the list below `key`, with its name.

    Raises `BadSettings` if it is no list, or for an item without a name of its own.
    """
    items = tree.get(key) or []
    seen: set[str] = set()
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, dict) or not item.get("name") or str(item["name"]) in seen:
            raise BadSettings(f"{key}: this must be a list of items, each with its own name.")
        seen.add(str(item["name"]))
        if "delete" not in item:  # else it was to take away what was never there
            yield str(item["name"]), item


class _Mismatch(Exception):
    """A list where a mapping was, or the like; its text names the key."""


def _merge(old: Any, new: Any, at: str = "(all)") -> Any:
    if old is None or new is None:
        return new if old is None else old
    if isinstance(old, dict) != isinstance(new, dict) or isinstance(old, list) != isinstance(
        new, list
    ):
        raise _Mismatch(at)
    if isinstance(new, dict):
        return old | {key: _merge(old.get(key), value, str(key)) for key, value in new.items()}
    return _merge_lists(old, new, at) if isinstance(new, list) else new


def _merge_lists(old: list[Any], new: list[Any], at: str) -> list[Any]:
    """Put named items together, each where it first stood; the others one behind the other."""
    changes: dict[str | None, Any] = {
        name: item for item in new if (name := _name(item)) is not None
    }
    there = {_name(item) for item in old}
    kept = [item for item in old if "delete" not in changes.get(_name(item), ())]
    merged = [_merge(item, changes.get(_name(item)), at) for item in kept]
    return merged + [item for item in new if _name(item) is None or _name(item) not in there]


def _name(item: Any) -> str | None:
    return str(item["name"]) if isinstance(item, dict) and "name" in item else None
