"""The list of `credbroker agent --list`: which tokens lie where on this machine, in YAML.

A key that nobody knows is refused, with file and key: a typo must not become a default.
"""

from __future__ import annotations

import grp
import pwd
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from credbroker.config.load import read_mapping, read_part
from credbroker.config.section import Section
from credbroker.delivery.token_forms import Form
from credbroker.domain.errors import BadSettings
from credbroker.edge.orders import Hook, Place

_MODE = re.compile(r"0?[0-7]{3}\Z")
_UID = "{uid}"


class HookSettings(Section, frozen=True):
    """Whom to tell of a new token: a command is run, or the program of a pid file gets a signal."""

    command: Annotated[list[str], Meta(min_length=1)] | None = None
    signal: str | None = None
    pid_file: Path | None = None


class TokenSettings(Section, frozen=True):
    """One token: under which lease, for what, and where it lies."""

    path: str
    lease: Path
    scopes: list[str] | None = None
    audiences: list[str] | None = None
    form: Form = Form.RAW
    line_end: bool = False
    owner: str | int | None = None
    group: str | int | None = None
    mode: str = "0600"
    minimum_seconds: Annotated[int, Meta(ge=0)] = 0
    longest_seconds: Annotated[float, Meta(gt=0)] | None = None
    hook: HookSettings | None = None
    vault_token: str | None = None


class ListSettings(Section, frozen=True):
    """All of the file; each token has a name, which messages use."""

    tokens: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One token of the list, with names of people made into numbers.

    `vault_token`, if there, is a file that gets the lease token itself.
    """

    settings: TokenSettings
    place: Place
    hook: Hook | None
    vault_token: Path | None


def read(file: Path) -> Mapping[str, Listed]:
    """Return the tokens that the file lists, by name. Raises `BadSettings` naming file and key."""
    fields = read_mapping(file)
    top = read_part(ListSettings, fields, file, "")
    listed = {name: _listed(file, name, entry) for name, entry in top.tokens.items()}
    taken: dict[Path, str] = {}
    for name, one in listed.items():
        for key, path in (("path", one.place.path), ("vault_token", one.vault_token)):
            if path in taken:
                raise _wrong(file, name, key, f"{path} is the path of {taken[path]}, too")
            if path is not None:
                taken[path] = name
    return listed


def _listed(file: Path, name: str, entry: object) -> Listed:
    one = read_part(TokenSettings, entry, file, f"tokens.{name}")
    if not _MODE.match(one.mode):
        raise _wrong(file, name, "mode", "this must be a text like '0640'")
    owner = _owner(file, name, one)
    uid = None if owner is None else owner[0]
    place = Place(
        _path(file, name, one.path, uid),
        one.form,
        int(one.mode, 8),
        owner,
        line_end=one.line_end,
    )
    vault_token = None if one.vault_token is None else _path(file, name, one.vault_token, uid)
    return Listed(one, place, _hook(file, name, one.hook), vault_token)


def _path(file: Path, name: str, text: str, uid: int | None) -> Path:
    if _UID in text and uid is None:
        raise _wrong(file, name, "owner", f"a path with {_UID} needs an owner")
    path = Path(text.replace(_UID, str(uid)))
    if not path.is_absolute() or not path.name or ".." in path.parts:
        raise _wrong(file, name, "path", f"{text} must be the whole path of a file")
    return path


def _owner(file: Path, name: str, one: TokenSettings) -> tuple[int, int] | None:
    """Return uid and gid; the group is the owner's own unless it is named."""
    if one.owner is None:
        if one.group is not None:
            raise _wrong(file, name, "group", "this goes with an owner")
        return None
    try:
        person = pwd.getpwuid(one.owner) if isinstance(one.owner, int) else pwd.getpwnam(one.owner)
    except KeyError:
        raise _wrong(file, name, "owner", f"there is no user {one.owner} here") from None
    if one.group is None or isinstance(one.group, int):
        return person.pw_uid, person.pw_gid if one.group is None else one.group
    try:
        return person.pw_uid, grp.getgrnam(one.group).gr_gid
    except KeyError:
        raise _wrong(file, name, "group", f"there is no group {one.group} here") from None


def _hook(file: Path, name: str, hook: HookSettings | None) -> Hook | None:
    if hook is None:
        return None
    if (hook.signal is None) != (hook.pid_file is None):
        raise _wrong(file, name, "hook", "`signal` and `pid_file` go together")
    if hook.command is None and hook.signal is None:
        raise _wrong(file, name, "hook", "this needs a command, or a signal and a pid_file")
    number = 0
    if hook.signal is not None:
        try:
            number = signal.Signals[f"SIG{hook.signal.upper().removeprefix('SIG')}"]
        except KeyError:
            raise _wrong(file, name, "hook.signal", "there is no such signal") from None
    return Hook(tuple(hook.command or ()), hook.pid_file, number)


def _wrong(file: Path, name: str, key: str, why: str) -> BadSettings:
    return BadSettings(f"{file}: tokens.{name}.{key}: {why}.")
