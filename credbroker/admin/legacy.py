"""`credbroker admin legacy`: who still comes with a vault token of an earlier HTVault.

Read from the audit trail, of all replicas whose files lie in the folders named: what is counted
there has happened, and nothing has to be kept for it anywhere else.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from credbroker.admin.desk import Desk
from credbroker.config.schema import Settings
from credbroker.domain.errors import LocalFileUnfit

_EVENT = '"event":"passed_on"'


@dataclass
class _Day:
    requests: int = 0
    logins: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)


def count_legacy(settings: Settings, desk: Desk, folders: Iterable[Path], days: int) -> None:
    """Tell, for each of the last `days` days (UTC), how many came; and who, and from where.

    Raises `LocalFileUnfit` for a folder without an audit trail.
    """
    first = desk.clock.now().date() - datetime.timedelta(days=days - 1)
    found: dict[datetime.date, _Day] = {}
    last: dict[str, tuple[datetime.date, str]] = {}
    for line in _lines(list(folders) or [settings.audit.folder]):
        when, login, address = _read(line)
        if when < first:
            continue
        day = found.setdefault(when, _Day())
        day.requests += 1
        day.addresses.add(address)
        if login:
            day.logins.add(login)
            last[login] = max(last.get(login, (when, address)), (when, address))
    _tell(desk, settings, found, last)


def _lines(folders: Iterable[Path]) -> Iterator[str]:
    for folder in folders:
        files = sorted(folder.glob("audit-*.jsonl"))
        if not files:
            raise LocalFileUnfit(f"{folder}: there is no audit trail here.")
        for file in files:
            try:
                with file.open(encoding="utf-8", errors="replace") as trail:
                    yield from (line for line in trail if _EVENT in line)
            except OSError as error:
                raise LocalFileUnfit(f"{file}: cannot be read ({error.strerror}).") from None


def _read(line: str) -> tuple[datetime.date, str, str]:
    """Return the day, whose login it was if that was said, and the address."""
    try:
        read = json.loads(line)
        day = datetime.datetime.fromisoformat(read["time"]).date()
        whose = f"{read['issuer']} {read['credkey']}:{read['role']}" if "issuer" in read else ""
        return day, whose, str(read["address"])
    except (ValueError, KeyError, TypeError):
        raise LocalFileUnfit("A line of the audit trail cannot be read.") from None


def _tell(
    desk: Desk,
    settings: Settings,
    found: dict[datetime.date, _Day],
    last: dict[str, tuple[datetime.date, str]],
) -> None:
    for name, issuer in settings.issuers.items():
        if issuer.legacy is not None:
            desk.answer(f"{name}: passed on until the end of {issuer.legacy.until} (UTC).")
    if not found:
        desk.answer("Nobody came with a vault token of an HTVault.")
        return
    for date, day in sorted(found.items()):
        desk.answer(
            f"{date}: requests {day.requests}, logins {len(day.logins)},"
            f" addresses {len(day.addresses)}"
        )
    for login, (date, address) in sorted(last.items()):
        desk.answer(f"{login}: last on {date} from {address}")
