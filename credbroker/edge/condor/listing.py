"""Shows every credential of the access point as its files have it; no daemon need run for that.

The exit code is what monitoring systems expect: 0 all is well, 1 something wants attention, 2 jobs
are affected, 3 it cannot be said.
"""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from credbroker.domain.errors import CredbrokerError
from credbroker.edge.condor.folder import USE, Folder, Seen
from credbroker.edge.condor.source import LEAST_LEFT_SECONDS
from credbroker.edge.condor.use_file import read_use
from credbroker.edge.condor.wanted import Reader
from credbroker.wire.fields import write_optional_instant

_PATIENCE_SECONDS = 60.0
"""How long a new request may be without a token before that is more than a delay."""


class Verdict(enum.IntEnum):
    """How a credential stands; the number is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """One credential: `remark` says what is wrong, if anything is."""

    user: str
    name: str
    kind: str
    server: str
    expires_at: datetime.datetime | None
    verdict: Verdict
    remark: str = ""


def look(reader: Reader, now: datetime.datetime) -> list[Shown]:
    """Return how every credential of this credmon stands, by user and name."""
    return [shown for user, _ in sorted(reader.folder.users()) for shown in _of(reader, user, now)]


def worst(shown: Sequence[Shown]) -> Verdict:
    """Return the verdict on all of them."""
    return max((one.verdict for one in shown), default=Verdict.OK)


def as_text(shown: Sequence[Shown], now: datetime.datetime) -> str:
    """Write one line for each, and one that says how many there are of what sort."""
    lines = [
        f"{one.verdict.name:<8} {one.user}/{one.name}  {one.kind} {one.server or '-'}"
        f"  {_left(one, now)}{'  ' + one.remark if one.remark else ''}"
        for one in shown
    ]
    counts = [sum(one.verdict is verdict for one in shown) for verdict in Verdict]
    noun = "credential" if len(shown) == 1 else "credentials"
    total = f"{len(shown)} {noun}: {counts[0]} ok, {counts[1]} warning, {counts[2]} critical"
    return "\n".join([*lines, total, ""])


def as_json(shown: Sequence[Shown], now: datetime.datetime) -> str:
    """Write a list of objects, one a credential."""
    return json.dumps([_fields(one, now) for one in shown], indent=1) + "\n"


def _fields(one: Shown, now: datetime.datetime) -> Mapping[str, object]:
    left = None if one.expires_at is None else int((one.expires_at - now).total_seconds())
    return {
        "user": one.user,
        "name": one.name,
        "kind": one.kind,
        "server": one.server or None,
        "expires_at": write_optional_instant(one.expires_at),
        "seconds_left": left,
        "verdict": one.verdict.name.lower(),
        "remark": one.remark or None,
    }


def _of(reader: Reader, user: str, now: datetime.datetime) -> Iterator[Shown]:
    try:
        files = reader.folder.files(user)
    except CredbrokerError as problem:
        yield Shown(user, "", "", "", None, Verdict.UNKNOWN, problem.sentence)
        return
    for name in sorted(reader.names(files)):
        yield _judged(reader, user, name, files, now)


def _judged(
    reader: Reader, user: str, name: str, files: Mapping[str, Seen], now: datetime.datetime
) -> Shown:
    wanted = reader.wanted(user, name, files)
    kind, _, server = wanted.order.server.partition("+") if wanted.order else ("", "", "")
    expires_at, verdict, remark = _life(reader.folder, user, name, now)
    if expires_at is None and wanted.age_seconds(now) < _PATIENCE_SECONDS:
        verdict = Verdict.WARNING
    if wanted.problem is not None:
        verdict, remark = max(verdict, Verdict.WARNING), wanted.problem.sentence
    return Shown(user, name, kind, server, expires_at, verdict, remark)


def _life(
    folder: Folder, user: str, name: str, now: datetime.datetime
) -> tuple[datetime.datetime | None, Verdict, str]:
    try:
        content = folder.read(user, name + USE)
        if content is None:
            return None, Verdict.CRITICAL, "There is no token yet; jobs that want it are held."
        expires_at = read_use(content.read, now).expires_at
    except CredbrokerError as problem:
        return None, Verdict.CRITICAL, problem.sentence
    left = (expires_at - now).total_seconds()
    if left <= 0:
        return expires_at, Verdict.CRITICAL, "The token has expired."
    if left < LEAST_LEFT_SECONDS:
        return expires_at, Verdict.WARNING, "The token ends soon and has no successor."
    return expires_at, Verdict.OK, ""


def _left(one: Shown, now: datetime.datetime) -> str:
    if one.expires_at is None:
        return "no token"
    minutes = int((one.expires_at - now).total_seconds() // 60)
    return f"{minutes} min left" if minutes >= 0 else "expired"
