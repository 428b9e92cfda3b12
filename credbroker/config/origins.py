"""Where each setting is written: file and line, of the last file that says something about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from credbroker.config.load import settings_files

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file; lines count from 1."""

    file: Path
    line: int


def origins(folder: Path) -> Mapping[str, Origin]:
    """Return by its key where each setting below `folder` is written, once `load` has accepted it.

    A key is written with dots, an entry of a list by its number: `kerberos[0].realms[1]`. What is left
    at its default is not there.
    """
    found: dict[str, Origin] = {}
    for file in settings_files(folder):
        root = yaml.compose(file.read_text("utf-8"), yaml.SafeLoader)
        if root is not None:
            for key, origin in _below(root, "", file):
                if origin is None:  # a list, or null, leaves nothing of what it replaces
                    for one in [one for one in found if one.startswith(key)]:
                        del found[one]
                else:
                    found[key] = origin
    return found


def _below(node: yaml.Node, at: str, file: Path) -> Iterator[tuple[str, Origin | None]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in sorted(node.value, key=_is_written_out):
            if not _is_written_out((key, value)):
                yield from _below(value, at, file)
                continue
            here = f"{at}.{key.value}" if at else str(key.value)
            yield here, Origin(file, key.start_mark.line + 1)
            yield from _below(value, here, file)
    elif isinstance(node, yaml.SequenceNode):
        yield f"{at}[", None
        for number, value in enumerate(node.value):
            yield f"{at}[{number}]", Origin(file, value.start_mark.line + 1)
            yield from _below(value, f"{at}[{number}]", file)
    elif node.tag == _NULL:
        yield f"{at}.", None


def _is_written_out(pair: tuple[yaml.Node, yaml.Node]) -> bool:
    """Tell a key from a merge (`<<`), which what is written out goes over."""
    return bool(pair[0].value != "<<")
