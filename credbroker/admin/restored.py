"""`credbroker admin restored`: lets refreshes go on after OpenBao/Vault was restored from a snapshot.

Prints who must log in again: theirs are the refresh tokens that were used since the snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from credbroker.admin.desk import Desk
from credbroker.admin.office import Office
from credbroker.broker.custody.lifting import Lifting, Restored

_HEAD = ("ISSUER", "IDENTITY KEY", "ROLE")


async def restored(office: Office, without: Collection[str], *, as_json: bool) -> None:
    """Lift the halt, if there is one, and print whose login the restore has cost.

    Raises `Busy` while replicas that are not in `without` have not sorted, and `StoreUnavailable`
    kinds.
    """
    lifting = Lifting(office.grants, office.rewind, office.heartbeats, office.means)
    cost = await lifting.lift(without)
    office.desk.say("Refreshes go on.")
    if as_json:
        office.desk.answer(json.dumps(_as_fields(cost)))
    else:
        _print_table(cost, office.desk)


def _as_fields(cost: Restored) -> dict[str, object]:
    people = [
        {"issuer": issuer, "credkey": credkey, "role": role}
        for issuer, credkey, role in _in_order(cost)
    ]
    return {"must_log_in": people, "unknown": cost.nameless, "damaged": cost.damaged}


def _print_table(cost: Restored, desk: Desk) -> None:
    if cost.people:
        for line in _table([_HEAD, *_in_order(cost)]):
            desk.answer(line)
    count = len(cost.people)
    desk.say(f"{count} login{'s' * (count != 1)} must be made again.")
    if cost.nameless:
        desk.say(
            f"{cost.nameless} more were first made after the snapshot, so nobody here knows whose"
            " they are; these people are told when they ask for a token."
        )
    if cost.damaged:
        desk.say(f"{cost.damaged} records cannot be read.")


def _in_order(cost: Restored) -> list[tuple[str, str, str]]:
    return sorted((one.key.issuer, one.key.credkey, one.key.role) for one in cost.people)


def _table(rows: list[tuple[str, str, str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
